"""Measure the files of a domain without an agent: for the start gate, which cannot wait.

Boot files are read now; of others counts what the agent knew of them, as long as nothing tells of a change.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.node_agent.files import reader, tree
from sealward.node_agent.files.chain import opened
from sealward.node_agent.files.look import Look
from sealward.node_agent.files.refusals import FilesBeingMeasured
from sealward.node_agent.files.stamp import Stamp

if TYPE_CHECKING:
    from sealward.node_agent.files.remembered import Remembered
    from sealward.node_agent.measure import Files

AT_ONCE = 64 * 1024 * 1024
"""Bytes that are read at once: 40 ms where SHA-256 is done by the processor."""


def files(remembered: Remembered, until: float, root: Path = Path("/")) -> Files:
    """Return what measures the files of one domain, reading none after `until` (`time.monotonic()`).

    What that raises is a FilesNotMeasured; FilesBeingMeasured where only the agent could tell.
    """

    def content(path: Path, *, is_boot: bool) -> str:
        with opened(path) as fd:
            stamp = Stamp.of(os.fstat(fd))
            known = remembered.known(stamp)
            if known is not None and not (is_boot and stamp.size < AT_ONCE):
                return known.root
            if stamp.size >= AT_ONCE or time.monotonic() > until:
                raise FilesBeingMeasured("only the agent has the time to read it")
            return tree.root(reader.leaves(fd, stamp.size), stamp.size)

    return Look(content, lambda _: None, root).files
