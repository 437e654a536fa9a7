"""Measures the files of a domain without an agent, for the start gate, which cannot wait.

Boot files are read now. Another file counts with the root that the agent has cached for it, if its stamp is
the same.
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
from sealward.node_agent.files.element import FilesElement
from sealward.node_agent.files.refusals import FileChanging, FileUnreadable

if TYPE_CHECKING:
    from sealward.node_agent.files.content.remembered import Remembered
    from sealward.node_agent.files.discovery.chain import Layer
    from sealward.node_agent.measuring.form import Files

AT_ONCE = 64 * 1024 * 1024
"""Bytes of data of a file that is read now, even if its root is known: 40 ms with SHA-256 in hardware."""
BLOCK = 512
"""The unit of `st_blocks` in bytes, on every file system (stat(2))."""


class Noted(Protocol):
    """Is called with each file as it was when it was read, and with the root of its content.

    Raises NotMeasured.

    For an image that the guest writes to, `root` is the digest of the links in its header.
    """

    def __call__(
        self, path: Path, found: os.stat_result, /, *, is_written: bool = False, root: str = ""
    ) -> None:
        """Note a file; `is_written` says whether the guest writes to it."""


def unnoted(_path: Path, _found: os.stat_result, *, is_written: bool = False, root: str = "") -> None:
    """Note nothing."""


def files(remembered: Remembered, until: float, root: Path = Path("/"), noted: Noted = unnoted) -> Files:
    """Return the function that measures the files of a domain.

    It begins no read after `until` (`time.monotonic()`).

    A file whose root is not known and that cannot be read in time is listed as unread: only the agent has the
    time to read it.
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

    return FilesElement(content, lambda _: None, root, layer_read).files


def root_of(path: bytes) -> str:
    """Return the root of a file's content, read now. Raises OSError, NotMeasured."""
    with opened(Path(os.fsdecode(path))) as fd:
        return _root(fd, Stamp.of(os.fstat(fd)), math.inf)


def _root(fd: int, stamp: Stamp, until: float) -> str:
    read = reader.root(fd, stamp.size, until)
    if Stamp.of(os.fstat(fd)) != stamp:
        raise FileChanging("it changed while it was read")
    return read
