"""One node's measuring of files: looks at servers, what they wait for, and who is told of changes."""

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
from sealward.node_agent.files.look import Look
from sealward.node_agent.files.mounts import ANSWER, LONGEST, Mounts
from sealward.node_agent.files.refusals import FilesUnresponsive
from sealward.node_agent.files.watch import FileWatch
from sealward.node_agent.measuring import canonical
from sealward.node_agent.measuring.measure import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.comparison.measurement import Finding
    from sealward.node_agent.files.content.cache import Cache
    from sealward.node_agent.measuring.measure import Files

T = TypeVar("T")

PATIENCE: Final = 1.0
"""Seconds that a look at a server waits for files to be read; what takes longer is read in the background."""
JUST_NOW: Final = 1.0
"""Seconds for which a boot file that was read counts as read now: many servers share it."""
BOOT_AGE: Final = 30.0
"""Seconds after which a look that does not insist has boot files read again in the background."""
HANGING: Final = 3
"""Visits to the files of a server, each of which may find another file system that hangs."""
STARTING: Final = "QEMU"
"""libvirt's name for the hypervisor that its start gate is for."""
NO_SERVER: Final = ""
"""Stands for the id of a server where a file belongs to the node."""


class FileMeasurer:
    """One node's measuring of files. Paths of domains are looked up below `root`.

    `tell` gets the id of a server that should be looked at again. `mode` is yes, no, or auto: not for the
    driver "Test", whose domains have no files.
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
        """Read long files in the background, and hear of changes, from now on."""
        self._contents.start()
        self._watch.start()

    def stop(self) -> None:
        """End after what is at hand."""
        self._watch.close()
        self._contents.stop()
        self._mounts.close()
        self._cache.close()

    def look(self, server_id: str, driver: str, *, fresh: bool) -> Files:
        """Return what measures the files of a server, for one look at both forms of its domain.

        `driver` is libvirt's name for the kind of its hypervisor. A fresh look reads boot files now, whatever
        is known of them; another one does not wait for large files.
        """
        if self._mode == "no" or (self._mode == "auto" and driver.lower() == "test"):
            return unmeasured
        began_at, until = time.time(), time.monotonic() + self._patience

        def content(path: Path, *, is_boot: bool) -> str:
            newer_than = began_at - JUST_NOW if is_boot and fresh else 0.0
            reread_after = BOOT_AGE if is_boot else None
            return self._contents.root(path, Terms(server_id, until, newer_than, reread_after, not fresh))

        shared = Look(content, lambda path: self._see(server_id, path), self._root)
        return lambda domain: self._visited(server_id, lambda: shared.files(domain))

    def _visited(self, server_id: str, look: Callable[[], etree._Element]) -> etree._Element:
        """Look at the files of a server; once more when a file system hung.

        A file system that is known to hang says so at once, so the next look reads all files beside it.
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
        """Make a call that touches files of the node, each by `enter` first; it may take long.

        Raises FilesUnresponsive when their file system does not answer, and what the call raises.
        """
        return self._mounts.visit(NO_SERVER, lambda _: call(), idle=self._patience + ANSWER, whole=math.inf)

    def enter(self, path: Path) -> None:
        """Touch a path from now on. Raises FilesUnresponsive where it is known to hang."""
        self._mounts.enter(path)

    def content(self, path: Path) -> str:
        """Return the root of a file that belongs to no server; `tell` gets NO_SERVER. Raises NotMeasured."""
        self._see(NO_SERVER, path)
        until = time.monotonic() + self._patience
        return self._contents.root(path, Terms(NO_SERVER, until, reread_after=BOOT_AGE))

    def remind(self, server_id: str, seconds: float) -> None:
        """Have a server looked at again after so many seconds, whatever becomes of its files."""
        timer = threading.Timer(seconds, self._tell, [server_id])
        timer.daemon = True
        timer.start()

    def forget(self, server_id: str) -> None:
        """Watch the files of a server no longer."""
        self._users.pop(server_id, None)
        self._folders = frozenset(path.parent for paths in tuple(self._users.values()) for path in paths)

    def localised(self, finding: Finding) -> Finding:
        """Return a finding; that of a changed content with the offset at which the change begins."""
        if not finding.xpath.endswith("/@content"):
            return finding
        offset = self._cache.difference(finding.signed, finding.found)
        return finding if offset is None else replace(finding, xpath=f"{finding.xpath} at {offset}")

    def progress(self) -> dict[str, tuple[int, int]]:
        """Return how many bytes have been read for each server that waits for its files, and of how many."""
        return self._contents.progress()

    def _see(self, server_id: str, path: Path) -> None:
        """Know that a server uses a file, and touch it from now on. Raises FilesUnresponsive.

        Sets are replaced, never changed: another thread reads them.
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
