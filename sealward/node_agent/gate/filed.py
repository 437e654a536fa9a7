"""Measure what is to start with its files, as far as they can be read in time.

Apart from the decision, for most of a decision needs none of what this imports.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files import offline
from sealward.node_agent.files.cache import Cache
from sealward.node_agent.files.refusals import FilesNotMeasured
from sealward.node_agent.measure import measure

if TYPE_CHECKING:
    from sealward.node_agent.measure import Measured

FILES_TIME: Final = 0.5
"""Seconds after which no further file is read."""


def measured(folder: str, xml: bytes, hypervisor: str) -> Measured | None:
    """Return a measurement with all files; None where they cannot be measured. Raises DomainXmlRefused."""
    try:
        with contextlib.closing(Cache(Path(folder, "files.sqlite"))) as cache:
            until = time.monotonic() + FILES_TIME
            return measure(xml, None, hypervisor, offline.files(cache, until))
    except (FilesNotMeasured, sqlite3.Error, OSError):
        return None
