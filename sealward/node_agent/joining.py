"""What an agent takes from the invitation that its host got."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.protocol import joining

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

PINNED: Final = "authority.pub"
"""The file in the agent's folder with the public key (PEM) of the authority that it believes."""


def joined(path: Path | None, hostname: str) -> joining.Join | None:
    """Return the invitation in a file; None where the file is gone or empty: it is needed but once.

    Raises JoinRefused, KeyRefused, OSError.
    """
    if path is None or not path.exists() or not path.read_bytes().strip():
        return None
    join = joining.read(path)
    if join.hostname != hostname:
        raise joining.JoinRefused(f"{path}: the invitation is for {join.hostname}, this node is {hostname}")
    return join


def pin(join: joining.Join, folder: Path) -> None:
    """Have the agent believe the invitation's authority, where it believes none yet."""
    path = folder / PINNED
    if not path.exists():
        path.write_text(join.authority, encoding="ascii")
    elif path.read_text(encoding="ascii") != join.authority:
        log.warning("%s stays: the invitation names another authority", path)
