"""The element `<files>` of a domain, which the section "files" is measured from.

It has a `<file>` for each file and layer, in the order of the inventory. Attributes, where they apply:

    role, path      as in the inventory; for disks `target`, and `layer`: 0 for the image, then downwards
    kind            "block": a device, whose path is in the XML and host-bound; "volume": named by `pool` and
                    `volume`; "data": an image's data file
    format          as the domain or the layer above states it; "(none)" where the layer above does not
    backing, backing-format, data-file      links as the image's header states them
    size            bytes that the guest sees, for files whose size does not change while the server runs
    content         root of the tree hash; not for files that the guest or the firmware may write to
    missing         "yes" for an image that the domain may start without
    unread          the code of the reason why the content could not be read; in an element without `layer`,
                    the reason why the rest of the disk's chain could not be followed

Other files are measured although a file cannot be read. A domain whose files are not measured by its node has
`<files measured="no"/>`. Where none of a domain's files could be measured, that
element has the attribute `reason`, too. Neither element is ever equal to one with measured files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from sealward.characters import escaped
from sealward.events.comparison.files import UNREAD
from sealward.events.comparison.measurement import COMPANIONS
from sealward.node_agent.files.discovery import chain, inventory
from sealward.node_agent.files.discovery.companions import FileReader, companions
from sealward.node_agent.files.refusals import FileMissing, FilesNotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.node_agent.files.discovery.companions import Facts


_NO_CHARACTERS: Final = {0xFFFE: "?", 0xFFFF: "?"}
"""Characters that XML cannot represent (XML 1.0, section 2.2) and that are not control characters."""
MAX_PATH: Final = 4096
"""Characters of a name, at most: Linux's PATH_MAX."""


class Content(Protocol):
    """Returns the root of a file's content, or raises NotMeasured."""

    def __call__(self, path: Path, *, is_boot: bool) -> str:
        """Return the root. `is_boot` says that the file is a boot file, which is measured as a whole."""


@dataclass(frozen=True, slots=True)
class FilesElement:
    """Makes `<files>` elements for one server.

    Both forms of the server's domain share the files that were read.

    `content` returns roots. `seen` is called with each path before the file is read, and `read` with each
    layer whose header was read, its path, and whether the guest writes to it. Paths in domains are looked up
    below `root`.
    """

    content: Content
    seen: Callable[[Path], None]
    root: Path = Path("/")
    read: Callable[[chain.Layer, Path, bool], None] = lambda _layer, _path, _is_written: None
    contents: dict[Path, Facts] = field(default_factory=dict)

    def files(self, domain: etree._Element) -> etree._Element:
        """Return the `<files>` of a parsed domain, from which no noise has been dropped.

        Its next sibling is `<companions>`.
        """
        seen = etree.Element("seen")
        files = _listed("files", self._facts(domain))
        reader = FileReader(self.root, self.seen, self._content, self._disk)
        seen.extend((files, _listed(COMPANIONS, map(_printable, companions(domain, reader)))))
        return files

    def _facts(self, domain: etree._Element) -> Iterator[Facts]:
        for boot_file in inventory.boot_files(domain):
            known = {"role": boot_file.role, "path": boot_file.path}
            yield {**known, **({} if boot_file.is_identity else self._boot_content(boot_file.path))}
        for disk in inventory.disks(domain):
            start = {"role": disk.role, "target": disk.target}
            if isinstance(disk, inventory.Unfollowed):
                yield {**start, UNREAD: disk.refusal.code}
            elif isinstance(disk, inventory.Volume):
                yield {**start, "kind": "volume", "pool": disk.pool, "volume": disk.volume}
            else:
                yield from self._disk(disk)

    def _disk(self, disk: inventory.Disk) -> Iterator[Facts]:
        """Yield the layers of a disk as far as its chain can be followed."""
        start = {"role": disk.role, "target": disk.target}
        is_image = True
        try:
            for layer in chain.follow(disk.path, disk.format, self.root, disk.declared, self._see):
                is_image = False
                yield {**start, **self._layer(layer, is_read_only=disk.is_read_only or layer.depth > 0)}
        except FilesNotMeasured as refused:
            if disk.is_optional and is_image and isinstance(refused, FileMissing):
                yield {**start, "path": disk.path, "format": disk.format, "missing": "yes"}
            else:
                yield {**start, UNREAD: refused.code}

    def _layer(self, layer: chain.Layer, *, is_read_only: bool) -> Facts:
        path = chain.placed(self.root, layer.path)
        self.read(layer, path, not is_read_only)
        is_growing = layer.is_data and not is_read_only
        content = self._content(path, is_boot=False) if is_read_only and not layer.is_block else {}
        return {
            "layer": str(layer.depth),
            "kind": "block" if layer.is_block else "data" if layer.is_data else None,
            "path": None if layer.is_block and not layer.depth else layer.path,
            "format": layer.format,
            "size": None if is_growing else str(layer.size),
            "backing": layer.backing,
            "backing-format": layer.backing_format,
            "data-file": layer.data_file,
            **content,
        }

    def _boot_content(self, named: str) -> Facts:
        try:
            path = chain.placed(self.root, named)
            self.seen(path)
        except FilesNotMeasured as refused:
            return {UNREAD: refused.code}
        return self._content(path, is_boot=True)

    def _content(self, path: Path, *, is_boot: bool) -> Facts:
        """Return the root of a file's content, or the reason why it could not be read."""
        if path not in self.contents:
            try:
                self.contents[path] = {"content": self.content(path, is_boot=is_boot)}
            except FilesNotMeasured as refused:
                self.contents[path] = {UNREAD: refused.code}
        return self.contents[path]

    def _see(self, path: str) -> None:
        self.seen(chain.placed(self.root, path))


def _printable(facts: Facts) -> Facts:
    """Return facts in characters that XML can represent: companions are also named in JSON and by folders."""
    return {
        name: None if value is None else escaped(value, MAX_PATH).translate(_NO_CHARACTERS)
        for name, value in facts.items()
    }


def _listed(tag: str, files: Iterator[Facts]) -> etree._Element:
    """Return an element with a `<file>` for each set of facts."""
    whole = etree.Element(tag)
    for facts in files:
        etree.SubElement(whole, "file", {name: value for name, value in facts.items() if value is not None})
    return whole
