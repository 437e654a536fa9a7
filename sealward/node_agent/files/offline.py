"""Measure the files of a domain without an agent: for the start gate, which cannot wait.

Boot files are read now; of others counts what the agent knew of them, as long as nothing tells of a change.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.node_agent.files import reader
from sealward.node_agent.files.chain import opened
from sealward.node_agent.files.look import Look
from sealward.node_agent.files.refusals import FileChanging, FileUnreadable
from sealward.node_agent.files.stamp import Stamp

if TYPE_CHECKING:
    from sealward.node_agent.files.remembered import Remembered
    from sealward.node_agent.measure import Files

AT_ONCE = 64 * 1024 * 1024
"""Bytes of data that are read at once, known or not: 40 ms where SHA-256 is done by the processor."""
BLOCK = 512
"""Bytes that `st_blocks` counts in, whatever the file system (stat(2))."""


def files(remembered: Remembered, until: float, root: Path = Path("/")) -> Files:
    """Return what measures the files of one domain, reading none after `until` (`time.monotonic()`).

    A file that nobody knows and that cannot be read in time is unread: only the agent has the time for it.
    """

    def content(path: Path, *, is_boot: bool) -> str:
        with opened(path) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise FileUnreadable("not a regular file")
            stamp = Stamp.of(found)
            known = remembered.known(stamp)
            if known is not None and not (is_boot and found.st_blocks * BLOCK < AT_ONCE):
                return known.root
            read = reader.root(fd, stamp.size, until)
            if Stamp.of(os.fstat(fd)) != stamp:
                raise FileChanging("it changed while it was read")
            return read

    return Look(content, lambda _: None, root).files
