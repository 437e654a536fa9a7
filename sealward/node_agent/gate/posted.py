"""The policies of a node as a text file beside its ledger, for a hook that can read nothing else.

The hook reads this file before it does anything that can fail. The hook's shell script reads it when Python
or Sealward's package is missing. The first line names the format. Then there is a line for the node and for
each server whose reference is in the ledger:

    sealward-gate/1
    node ON_START UNSIGNED              refuse or observe, refuse or allow
    SERVER_ID ON_START                  refuse or observe
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Final

from sealward.node_agent.ledger.policies import NODE, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

NAME: Final = "gate.policy"
HEADER: Final = "sealward-gate/1"

Row = tuple[str, int | None]


def text(server_ids: Iterable[str], policies: Mapping[str, Row]) -> str:
    """Return the text of the file. `policies` are the rows (policy, position) of the ledger by server id."""
    of_node = policies.get(NODE)
    node = standing(of_node, None).policy
    lines = [HEADER, f"node {node.on_start} {node.unsigned}"]
    for server_id in sorted(server_ids):
        own = policies.get(server_id)
        on_start = node.on_start if own is None else standing(of_node, own).policy.on_start
        lines.append(f"{server_id} {on_start}")
    return "\n".join(lines) + "\n"


def post(folder: Path, posted: str) -> bool:
    """Replace the file as a whole.

    Returns False where it cannot be written: the old file is still there then.
    """
    draft = folder / f".{NAME}"
    try:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(posted)
        draft.replace(folder / NAME)
    except (OSError, UnicodeError) as failed:
        log.warning("the policy for the start gate could not be written: %s", failed)
        return False
    return True
