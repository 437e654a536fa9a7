"""Measure the files of a domain without an agent: for the start gate, which cannot wait.

Boot files are read now; of others counts what the agent knew of them, as long as nothing tells of a change.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sealward.node_agent.files.content import reader
from sealward.node_agent.files.content.stamp import Stamp
from sealward.node_agent.files.discovery.chain import opened
from sealward.node_agent.files.look import Look
from sealward.node_agent.files.refusals import FileChanging, FileUnreadable

if TYPE_CHECKING:
    from sealward.node_agent.files.content.remembered import Remembered
    from sealward.node_agent.files.discovery.chain import Layer
    from sealward.node_agent.measuring.measure import Files

AT_ONCE = 64 * 1024 * 1024
"""Bytes of data that are read at once, known or not: 40 ms where SHA-256 is done by the processor."""
BLOCK = 512
"""Bytes that `st_blocks` counts in, whatever the file system (stat(2))."""


class Noted(Protocol):
    """Hears of each file as it was when it was read, and of the root of its content. Raises NotMeasured.

    Of an image that the guest writes to, the digest of the links in its header is in the place of the root.
    """

    def __call__(
        self, path: Path, found: os.stat_result, /, *, is_written: bool = False, root: str = ""
    ) -> None:
        """Hear of a file; the guest writes to some of them."""


def unnoted(_path: Path, _found: os.stat_result, *, is_written: bool = False, root: str = "") -> None:
    """Hear of a file, and note nothing."""


def files(remembered: Remembered, until: float, root: Path = Path("/"), noted: Noted = unnoted) -> Files:
    """Return what measures the files of one domain, reading none after `until` (`time.monotonic()`).

    A file that nobody knows and that cannot be read in time is unread: only the agent has the time for it.
    """

    def layer_read(layer: Layer, path: Path, is_written: bool) -> None:  # noqa: FBT001 - as a look calls it
        if layer.found is not None:
            noted(path, layer.found, is_written=is_written, root=layer.links if is_written else "")

    def content(path: Path, *, is_boot: bool) -> str:
        with opened(path) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise FileUnreadable("not a regular file")
            stamp = Stamp.of(found)
            known = remembered.known(stamp)
            if known is not None and not (is_boot and found.st_blocks * BLOCK < AT_ONCE):
                read = known.root
            else:
                read = _root(fd, stamp, until)
            noted(path, found, root=read)
            return read

    return Look(content, lambda _: None, root, layer_read).files


def root_of(path: bytes) -> str:
    """Return the root of a file's content, whatever is known of it. Raises OSError, NotMeasured."""
    with opened(Path(os.fsdecode(path))) as fd:
        return _root(fd, Stamp.of(os.fstat(fd)), math.inf)


def _root(fd: int, stamp: Stamp, until: float) -> str:
    read = reader.root(fd, stamp.size, until)
    if Stamp.of(os.fstat(fd)) != stamp:
        raise FileChanging("it changed while it was read")
    return read
