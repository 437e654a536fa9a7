"""The measuring of files on a node: the files of each server, and the servers that wait for files."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from lxml import etree

from sealward.node_agent.files.content.contents import Contents, Terms
from sealward.node_agent.files.discovery import chain
from sealward.node_agent.files.element import FilesElement
from sealward.node_agent.files.mounts import ANSWER, LONGEST, Mounts
from sealward.node_agent.files.refusals import FilesUnresponsive
from sealward.node_agent.files.watch import FileWatch
from sealward.node_agent.measuring import canonical
from sealward.node_agent.measuring.form import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.comparison.measurement import Finding
    from sealward.node_agent.files.content.cache import Cache
    from sealward.node_agent.measuring.form import Files

T = TypeVar("T")

PATIENCE: Final = 1.0
"""Seconds that one measurement of a server waits for its files.

Files that take longer are read in the background.
"""
JUST_NOW: Final = 1.0
"""Seconds for which a boot file that was read counts as fresh: many servers share boot files."""
BOOT_AGE: Final = 30.0
"""Seconds after which a measurement that need not be fresh has boot files read again in the background."""
HANGING: Final = 3
"""Attempts to measure the files of a server. Each may meet another file system that hangs."""
STARTING: Final = "QEMU"
"""libvirt's name for the hypervisor that the start gate is for."""
NO_SERVER: Final = ""
"""Stands in the place of a server's id for files that belong to the node."""


class FileMeasurer:
    """The measuring of files on a node. Paths in domains are looked up below `root`.

    `tell` is called with the id of a server that should be measured again. `mode` is yes, no, or auto. With
    auto, files are measured except for domains of libvirt's driver "Test", which have no files.
    """

    def __init__(  # noqa: PLR0913 - what to measure, how, and for whom
        self,
        cache: Cache,
        tell: Callable[[str], None],
        reread_after: float,
        *,
        mode: str = "auto",
        root: Path = Path("/"),
        patience: float = PATIENCE,
    ) -> None:
        self._mode = mode
        self._cache = cache
        self._mounts = Mounts(tell)
        self._contents = Contents(cache, self._mounts, tell, reread_after)
        self._root = root
        self._patience = patience
        self._tell = tell
        self._users: dict[str, frozenset[Path]] = {}
        self._folders: frozenset[Path] = frozenset()
        self._watch = FileWatch(lambda: self._folders, self._touched, self._mounts)

    def start(self) -> None:
        """Begin to read long files in the background, and to watch for changes."""
        self._contents.start()
        self._watch.start()

    def stop(self) -> None:
        """Finish the reads under way, and end."""
        self._watch.close()
        self._contents.stop()
        self._mounts.close()
        self._cache.close()

    def look(self, server_id: str, driver: str, *, fresh: bool) -> Files:
        """Return the function that measures a server's files, for one measurement of both forms of its XML.

        `driver` is libvirt's name for its hypervisor. A fresh measurement reads boot files now, even if their
        roots are known; another measurement does not wait for large files.
        """
        if self._mode == "no" or (self._mode == "auto" and driver.lower() == "test"):
            return unmeasured
        began_at, until = time.time(), time.monotonic() + self._patience

        def content(path: Path, *, is_boot: bool) -> str:
            newer_than = began_at - JUST_NOW if is_boot and fresh else 0.0
            reread_after = BOOT_AGE if is_boot else None
            return self._contents.root(path, Terms(server_id, until, newer_than, reread_after, not fresh))

        element = FilesElement(content, lambda path: self._see(server_id, path), self._root)
        return lambda domain: self._visited(server_id, lambda: element.files(domain))

    def _visited(self, server_id: str, look: Callable[[], etree._Element]) -> etree._Element:
        """Measure the files of a server, and again when a file system hung.

        At the next attempt the file system that hangs is known and refused at once, so that the other files
        are read.
        """
        for _ in range(HANGING):
            with contextlib.suppress(FilesUnresponsive):
                return self._mounts.visit(
                    server_id, lambda _: look(), idle=self._patience + ANSWER, whole=self._patience + LONGEST
                )
        return etree.Element("files", measured="no", reason=FilesUnresponsive.code)

    def read_soon(self, server_id: str, xml: bytes) -> None:
        """Have the files of a server that is to start read in the background. Raises DomainXmlRefused."""
        self.look(server_id, STARTING, fresh=False)(canonical.parse(xml))

    def visit_firmware(self, call: Callable[[], T]) -> T:
        """Call a function that touches files of the node, each after `enter`; the call may take long.

        Raises FilesUnresponsive when the file system does not answer, and the exceptions of the function.
        """
        return self._mounts.visit(NO_SERVER, lambda _: call(), idle=self._patience + ANSWER, whole=math.inf)

    def enter(self, path: Path) -> None:
        """Say that the path will be touched now.

        Raises FilesUnresponsive where its file system is known to hang.
        """
        self._mounts.enter(path)

    def content(self, path: Path) -> str:
        """Return the root of a file that belongs to no server. Raises NotMeasured.

        `tell` is called with NO_SERVER when a read that takes longer has ended.
        """
        self._see(NO_SERVER, path)
        until = time.monotonic() + self._patience
        return self._contents.root(path, Terms(NO_SERVER, until, reread_after=BOOT_AGE))

    def volume(self, path: str, driver: str) -> str | None:
        """Return the root of a volume of a storage pool; None where the node measures no files.

        Raises NotMeasured.
        """
        if self._mode == "no" or (self._mode == "auto" and driver.lower() == "test"):
            return None
        return self.content(chain.placed(self._root, path))

    def remind(self, server_id: str, seconds: float) -> None:
        """Have a server measured again after so many seconds, also if its files do not change."""
        timer = threading.Timer(seconds, self._tell, [server_id])
        timer.daemon = True
        timer.start()

    def forget(self, server_id: str) -> None:
        """Watch the files of a server no longer."""
        self._users.pop(server_id, None)
        self._folders = frozenset(path.parent for paths in tuple(self._users.values()) for path in paths)

    def localised(self, finding: Finding) -> Finding:
        """Return a finding.

        Where it is about a file's content, add the offset at which the change begins, if known.
        """
        if not finding.xpath.endswith("/@content"):
            return finding
        offset = self._cache.difference(finding.signed, finding.found)
        return finding if offset is None else replace(finding, xpath=f"{finding.xpath} at {offset}")

    def progress(self) -> dict[str, tuple[int, int]]:
        """Return (bytes read, bytes in all) by the id of each server that waits for its files."""
        return self._contents.progress()

    def _see(self, server_id: str, path: Path) -> None:
        """Note that a server uses a file, and that the file will be touched now. Raises FilesUnresponsive.

        The sets are replaced and never changed, because another thread reads them.
        """
        self._mounts.enter(path)
        known = self._users.get(server_id, frozenset())
        if path not in known:
            self._users[server_id] = known | {path}
            if path.parent not in self._folders:
                self._folders |= {path.parent}

    def _touched(self, path: Path) -> None:
        for server_id, paths in tuple(self._users.items()):
            if path in paths:
                self._tell(server_id)
