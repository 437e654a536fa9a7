"""The places of paths are those of libvirt's schema, where this machine has the schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from lxml import etree

from sealward.node_agent.files.discovery import places

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS: Final = Path("/usr/share/libvirt/schemas")
RNG: Final = "{http://relaxng.org/ns/structure/1.0}"
PATHS: Final = frozenset(("absFilePath", "filePath", "absDirPath", "dirPath"))
OTHERS: Final = ("metadata", "override", "commandline", "capabilities", "datacenterpath", "namespace")
"""Elements of other namespaces, of which the schema does not say the namespace here, and <metadata>."""


class Schema:
    """A RELAX NG schema with what it includes."""

    def __init__(self, folder: Path, name: str) -> None:
        self._definitions: dict[str, list[etree._Element]] = {}
        self._read: set[str] = set()
        self._starts = self._include(folder, name)

    def _include(self, folder: Path, name: str) -> list[etree._Element]:
        self._read.add(name)
        grammar = etree.parse(folder / name).getroot()
        for one in grammar.iter(f"{RNG}include"):
            if one.get("href", "") not in self._read:
                self._include(folder, one.get("href", ""))
        for one in grammar.iter(f"{RNG}define"):
            self._definitions.setdefault(one.get("name", ""), []).append(one)
        return list(grammar.iter(f"{RNG}start"))

    def path_places(self) -> set[str]:
        """Return the places of the types for paths, as `domain/os/kernel`."""
        return {place for start in self._starts for place in self._walk(start, "", frozenset())}

    def _walk(self, node: etree._Element, place: str, inside: frozenset[str]) -> Iterator[str]:
        for one in node.iterchildren(tag=etree.Element):
            name = one.get("name", "*")
            if one.tag == f"{RNG}ref":
                if name in PATHS:
                    yield place.lstrip("/")
                if name not in inside:
                    for definition in self._definitions.get(name, []):
                        yield from self._walk(definition, place, inside | {name})
            elif one.tag == f"{RNG}element":
                yield from self._walk(one, f"{place}/{name}", inside)
            elif one.tag == f"{RNG}attribute":
                yield from self._walk(one, f"{place}/@{name}", inside)
            else:
                yield from self._walk(one, place, inside)


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="this machine has no libvirt")
def test_every_path_of_the_schema_is_known() -> None:
    """A libvirt with further places fails here, and its places are unknown until they are looked at."""
    found = {place.removeprefix("domain/") for place in Schema(SCHEMAS, "domain.rng").path_places()}
    domain = etree.Element("domain")
    for place in sorted(one for one in found if not one.startswith(OTHERS)):
        _put(domain, place)

    assert len(found) > 50
    assert list(places.unknown(domain)) == []


def test_images_below_images_are_known() -> None:
    """To any depth, also the data of an image (libvirt 10.10)."""
    domain = etree.Element("domain")
    chain = "backingStore/" * 12
    _put(domain, f"devices/disk/{chain}source/@file")
    _put(domain, f"devices/disk/{chain}source/dataStore/source/@file")
    _put(domain, "devices/disk/mirror/backingStore/source/dataStore/source/host/@socket")

    assert list(places.unknown(domain)) == []


def _put(domain: etree._Element, place: str) -> None:
    """Add elements so that there is a path at that place."""
    element = domain
    for step in place.split("/"):
        if step.startswith("@"):
            element.set(step[1:], "/some/path")
            return
        element = etree.SubElement(element, step)
    element.text = "/some/path"
