"""The invitation of a host, as the agent reads it from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.protocol import joining

if TYPE_CHECKING:
    from pathlib import Path


def joined(path: Path | None, hostname: str) -> joining.Join | None:
    """Return the invitation in a file; None where the file is missing or empty, as it is needed only once.

    Raises JoinRefused, KeyRefused, OSError.
    """
    if path is None or not path.exists() or not path.read_bytes().strip():
        return None
    join = joining.read(path)
    if join.hostname != hostname:
        raise joining.JoinRefused(f"{path}: the invitation is for {join.hostname}, this node is {hostname}")
    return join
