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

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lxml import etree

from sealward.node_agent.files import chain, inventory
from sealward.node_agent.files.refusals import FileMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Content(Protocol):
    """Gives the root of a file's content, or raises NotMeasured."""

    def __call__(self, path: Path, *, is_boot: bool) -> str:
        """Return the root; a boot file is one that counts as a whole."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the files of one server: both forms of its domain share what it read.

    `seen` hears of each file before it is read. Paths of domains are looked up below `root`.
    """

    content: Content
    seen: Callable[[Path], None]
    root: Path = Path("/")
    roots: dict[Path, str] = field(default_factory=dict)

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
            content = None if boot_file.is_identity else self._boot_root(boot_file.path)
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
            "content": self._root(path, is_boot=False) if is_read_only and not layer.is_block else None,
        }

    def _see(self, path: str) -> None:
        self.seen(chain.placed(self.root, path))

    def _boot_root(self, named: str) -> str:
        path = chain.placed(self.root, named)
        self.seen(path)
        return self._root(path, is_boot=True)

    def _root(self, path: Path, *, is_boot: bool) -> str:
        if path not in self.roots:
            self.roots[path] = self.content(path, is_boot=is_boot)
        return self.roots[path]
