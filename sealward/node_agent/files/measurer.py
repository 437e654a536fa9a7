"""The files of a domain as one `<files>` element: what the section "files" is measured from.

One `<file>` for each file and layer, in the order of the inventory. Attributes, where they apply:

    role, path      as in the inventory; for disks `target`, and `layer`: 0 for the image, then downwards
    kind            "block": a device, whose path is in the XML and host-bound; "volume": named by `pool` and
                    `volume`; "data": an image's data file
    format          as the domain or the layer above states it; "(none)" where the layer above does not
    backing, backing-format, data-file      links as the image's header states them
    size            bytes the guest sees, where running does not change it
    content         root of the tree hash; not for what the guest or the firmware may write
    missing         "yes" for an image that the domain may start without

A domain whose files nobody looks at has `<files measured="no"/>`, one whose files could not be measured has
the reason there, too: neither is ever equal to one whose files were measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lxml import etree

from sealward.node_agent.files import chain, inventory
from sealward.node_agent.files.contents import Contents
from sealward.node_agent.files.refusals import FileMissing
from sealward.node_agent.files.watch import FileWatch
from sealward.node_agent.measure import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.events.measurement import Finding
    from sealward.node_agent.files.cache import Cache
    from sealward.node_agent.measure import Files

PATIENCE: Final = 1.0
"""Seconds that a look at a server waits for files to be read; what takes longer is read in the background."""
BOOT_AGE: Final = 30.0
"""Seconds after which a look that does not insist has boot files read again in the background."""

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
        self._contents = Contents(cache, tell, reread_after)
        self._root = root
        self._patience = patience
        self._tell = tell
        self._users: dict[str, frozenset[Path]] = {}
        self._folders: frozenset[Path] = frozenset()
        self._watch = FileWatch(lambda: self._folders, self._touched)

    def start(self) -> None:
        """Read long files in the background, and hear of changes, from now on."""
        self._contents.start()
        self._watch.start()

    def stop(self) -> None:
        """End after what is at hand."""
        self._watch.close()
        self._contents.stop()
        self._cache.close()

    def look(self, server_id: str, driver: str, *, fresh: bool) -> Files:
        """Return what measures the files of a server, for one look at both forms of its domain.

        `driver` is libvirt's name for the kind of its hypervisor. A fresh look reads boot files now, whatever
        is known of them.
        """
        if self._mode == "no" or (self._mode == "auto" and driver.lower() == "test"):
            return unmeasured
        look = Look(self._contents, self._root, server_id, self._patience, is_fresh=fresh, seen=self._saw)
        return look.files

    def content(self, path: Path) -> str:
        """Return the root of a file that belongs to no server; `tell` gets NO_SERVER. Raises NotMeasured."""
        self._saw(NO_SERVER, path)
        until = time.monotonic() + self._patience
        return self._contents.root(path, NO_SERVER, until, reread_after=BOOT_AGE)

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

    def _saw(self, server_id: str, path: Path) -> None:
        """Know that a server uses a file. Sets are replaced, never changed: another thread reads them."""
        known = self._users.get(server_id, frozenset())
        if path not in known:
            self._users[server_id] = known | {path}
            if path.parent not in self._folders:
                self._folders |= {path.parent}

    def _touched(self, path: Path) -> None:
        for server_id, paths in tuple(self._users.items()):
            if path in paths:
                self._tell(server_id)


@dataclass(slots=True)
class Look:
    """One look at the files of one server: both forms of its domain share what it read."""

    contents: Contents
    root: Path
    server_id: str
    patience: float
    is_fresh: bool
    seen: Callable[[str, Path], None]
    began_at: float = field(default_factory=time.time)
    until: float = 0.0
    roots: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Set the time until which this look waits."""
        self.until = time.monotonic() + self.patience

    def files(self, domain: etree._Element) -> etree._Element:
        """Return the `<files>` of a parsed domain, from which no noise is dropped. Raises NotMeasured."""
        files = etree.Element("files")
        for facts in self._facts(domain):
            etree.SubElement(
                files, "file", {name: value for name, value in facts.items() if value is not None}
            )
        return files

    def _facts(self, domain: etree._Element) -> Iterator[dict[str, str | None]]:
        for boot_file in inventory.boot_files(domain):
            content = None if boot_file.is_identity else self._boot_content(boot_file.path)
            yield {"role": boot_file.role, "path": boot_file.path, "content": content}
        for disk in inventory.disks(domain):
            if isinstance(disk, inventory.Volume):
                named = {"kind": "volume", "pool": disk.pool, "volume": disk.volume}
                yield {"role": disk.role, "target": disk.target, **named}
            else:
                yield from self._disk(disk)

    def _disk(self, disk: inventory.Disk) -> Iterator[dict[str, str | None]]:
        start = {"role": disk.role, "target": disk.target}
        try:
            layers = chain.walk(disk.path, disk.format, self.root, disk.declared, self._see)
        except FileMissing:
            if not disk.is_optional:
                raise
            yield {**start, "path": disk.path, "format": disk.format, "missing": "yes"}
            return
        for layer in layers:
            is_read_only = disk.is_read_only or layer.depth > 0
            yield {**start, **self._layer(layer, is_read_only=is_read_only)}

    def _layer(self, layer: chain.Layer, *, is_read_only: bool) -> dict[str, str | None]:
        path = chain.placed(self.root, layer.path)
        is_growing = layer.is_data and not is_read_only
        return {
            "layer": str(layer.depth),
            "kind": "block" if layer.is_block else "data" if layer.is_data else None,
            "path": None if layer.is_block and not layer.depth else layer.path,
            "format": layer.format,
            "size": None if is_growing else str(layer.size),
            "backing": layer.backing,
            "backing-format": layer.backing_format,
            "data-file": layer.data_file,
            "content": self._content(path) if is_read_only and not layer.is_block else None,
        }

    def _see(self, path: str) -> None:
        self.seen(self.server_id, chain.placed(self.root, path))

    def _content(self, path: Path) -> str:
        if path not in self.roots:
            self.roots[path] = self.contents.root(path, self.server_id, self.until)
        return self.roots[path]

    def _boot_content(self, named: str) -> str:
        """Return the root of a boot file: read now for a fresh look, else soon after."""
        path = chain.placed(self.root, named)
        self.seen(self.server_id, path)
        if path not in self.roots:
            newer_than = self.began_at if self.is_fresh else None
            self.roots[path] = self.contents.root(
                path, self.server_id, self.until, newer_than=newer_than, reread_after=BOOT_AGE
            )
        return self.roots[path]
