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
    unread          the code of the reason why the content could not be read; where it stands without `layer`,
                    why the rest of the disk's chain could not be followed

A file that could not be read keeps no other from being measured. A domain whose files nobody looks at has
`<files measured="no"/>`, one of which no file could be measured has the reason there, too: neither is ever
equal to one whose files were measured.
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
from sealward.node_agent.files.discovery.companions import Reading, companions
from sealward.node_agent.files.refusals import FileMissing, FilesNotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.node_agent.files.discovery.companions import Facts


_NO_CHARACTERS: Final = {0xFFFE: "?", 0xFFFF: "?"}
"""What XML has no way to write (XML 1.0, section 2.2) and is no control character, either."""
MAX_PATH: Final = 4096
"""Characters of a name that are told: Linux's PATH_MAX."""


class Content(Protocol):
    """Gives the root of a file's content, or raises NotMeasured."""

    def __call__(self, path: Path, *, is_boot: bool) -> str:
        """Return the root; a boot file is one that counts as a whole."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the files of one server: both forms of its domain share what it read.

    `seen` hears of each file before it is read, and `read` of each layer whose header was read, with its path
    and whether the guest writes to it. Paths of domains are looked up below `root`.
    """

    content: Content
    seen: Callable[[Path], None]
    root: Path = Path("/")
    read: Callable[[chain.Layer, Path, bool], None] = lambda _layer, _path, _is_written: None
    contents: dict[Path, Facts] = field(default_factory=dict)

    def files(self, domain: etree._Element) -> etree._Element:
        """Return the `<files>` of a parsed domain, from which no noise is dropped.

        Its next sibling is `<companions>`.
        """
        seen = etree.Element("seen")
        files = _listed("files", self._facts(domain))
        reading = Reading(self.root, self.seen, self._content, self._disk)
        seen.extend((files, _listed(COMPANIONS, map(_printable, companions(domain, reading)))))
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
        """Return the root of a file's content, or why it could not be read."""
        if path not in self.contents:
            try:
                self.contents[path] = {"content": self.content(path, is_boot=is_boot)}
            except FilesNotMeasured as refused:
                self.contents[path] = {UNREAD: refused.code}
        return self.contents[path]

    def _see(self, path: str) -> None:
        self.seen(chain.placed(self.root, path))


def _printable(facts: Facts) -> Facts:
    """Return the same as XML can carry it: names of companions come from JSON and from folders, too."""
    return {
        name: None if value is None else escaped(value, MAX_PATH).translate(_NO_CHARACTERS)
        for name, value in facts.items()
    }


def _listed(tag: str, files: Iterator[Facts]) -> etree._Element:
    """Return an element with a `<file>` for each of these."""
    whole = etree.Element(tag)
    for facts in files:
        etree.SubElement(whole, "file", {name: value for name, value in facts.items() if value is not None})
    return whole
