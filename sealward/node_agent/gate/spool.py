"""Reports of the start gate and of reactions that wait, a file each, until the control plane has them.

The hook leaves objections here when the agent is away, so that none is lost. Every report has an id, so that
the control plane records a report once, however often the agent sends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = "spool"
FULL: Final = 10_000
"""Reports that may wait. Only repeated attempts at the same start make more than that."""


def prepare(folder: str) -> None:
    """Make the spool's folder, so that it belongs to the agent's user even if root leaves the first file."""
    with contextlib.suppress(OSError):
        os.makedirs(f"{folder}/{FOLDER}", 0o700, exist_ok=True)  # noqa: PTH103 - as in `leave`


def leave(folder: str, report: Mapping[str, object] | None) -> bool:
    """Write a report into the spool, whole or not at all. Returns False where that failed.

    Returns True without writing when `report` is None or the spool is full.
    """
    if report is None:
        return True
    spool = f"{folder}/{FOLDER}"
    name = f"{time.time_ns():020d}-{report['id']}"
    with contextlib.suppress(OSError):
        os.makedirs(spool, 0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs more than the decision
        if len(os.listdir(spool)) >= FULL:  # noqa: PTH208 - as above
            return True
        draft = os.open(f"{spool}/.{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(draft, "w", encoding="utf-8") as file:
                json.dump(report, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.unlink(f"{spool}/.{name}")  # noqa: PTH108 - as above
            raise
        os.rename(f"{spool}/.{name}", f"{spool}/{name}.json")  # noqa: PTH104 - as above
        return True
    return False


def waiting(folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield (id, text) of the reports that wait, the oldest first."""
    spool = f"{folder}/{FOLDER}"
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(spool)):  # noqa: PTH208 - as above
            if not name.startswith(".") and name.endswith(".json"):
                with open(f"{spool}/{name}", "rb") as file:  # noqa: PTH123 - as above
                    yield name.removesuffix(".json").partition("-")[2], file.read()


def remove(folder: str, ids: frozenset[str]) -> None:
    """Remove the reports with these ids, which the control plane has recorded."""
    spool = f"{folder}/{FOLDER}"
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(spool):  # noqa: PTH208 - as above
            if name.removesuffix(".json").partition("-")[2] in ids:
                os.unlink(f"{spool}/{name}")  # noqa: PTH108 - as above
