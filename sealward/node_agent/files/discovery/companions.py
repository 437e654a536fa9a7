"""Companions of a domain's files: files outside the section `files` that also affect the running server.

Companions are listed beside the section, because the digest of the section must stay the same for the same
files. Each companion is a `<file>` with the attributes of `files.element`. The attribute `target` tells
companions with the same role apart:

    emulator, bootloader, virtiofsd, network-script     programs that libvirt or QEMU runs
    argument            a file that arguments or the environment of QEMU name; `kind` is "folder" for a folder
    argument-image      an image that they name, layer by layer as of a disk
    memory              the file of a persistent memory, without its path, which is host-bound
    unlisted            a path in a place that is not known (`discovery.places`); it is never read

A program that only root can change (`protected`) counts by its path: like the kernel it is part of the host,
and an upgrade of QEMU is no violation. A program that others can change counts by its content, and so do
files in arguments. An image counts as a disk does, and a persistent memory by its content unless the guest
writes to the file.
"""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from sealward.events.comparison.files import UNLISTED, UNREAD
from sealward.node_agent.files.discovery import chain, inventory, options, places
from sealward.node_agent.files.protected import is_protected
from sealward.node_agent.files.refusals import (
    DiskKindUnknown,
    FileMissing,
    FilePlaceUnknown,
    FilesNotMeasured,
    FileUnreadable,
    NetworkDisk,
)
from sealward.node_agent.measuring import profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMS: Final = {
    "emulator": "devices/emulator/text()",
    "bootloader": "bootloader/text()",
    "virtiofsd": "devices/filesystem/binary/@path",
    "network-script": "devices/interface/script/@path | devices/interface/downscript/@path",
}
"""Programs that libvirt or QEMU runs beside QEMU: by role the XPath at which a domain names them."""
ENVIRONMENT: Final = "env"
FOLDERS: Final = frozenset(("L", ENVIRONMENT))
"""Options that name folders in which QEMU reads files by names of its own: firmware, modules, libraries."""
LARGEST_FOLDER: Final = 256
"""Files of a folder that are measured. A folder with more files counts as unreadable."""
PROTECTED: Final = "protected"
_QEMU: Final = f"{{{profile.QEMU_NAMESPACE}}}"

Facts = dict[str, str | None]


class Content(Protocol):
    """Reads the content of a file."""

    def __call__(self, path: Path, *, is_boot: bool) -> Facts:
        """Return the root of a file's content, or the reason why it could not be read."""


@dataclass(frozen=True, slots=True)
class FileReader:
    """How files are read: the functions of `FilesElement` that companions share with other files."""

    root: Path
    seen: Callable[[Path], None]
    content: Content
    disk: Callable[[inventory.Disk], Iterator[Facts]]


def companions(domain: etree._Element, reader: FileReader) -> Iterator[Facts]:
    """Yield the facts about each companion of a parsed domain."""
    for role, xpath in _programs():
        for number, path in enumerate(_texts(xpath, domain), 1):
            yield {"role": role, "target": str(number), "path": path, **_program(path, reader)}
    for number, memory in enumerate(domain.iterfind("devices/memory"), 1):
        if memory.find("source/path") is not None:
            yield {"role": "memory", "target": str(number), **_memory(domain, memory, reader)}
    arguments = [one.get("value", "") for one in domain.iterfind(f"{_QEMU}commandline/{_QEMU}arg")]
    for number, image in enumerate(options.images(arguments), 1):
        yield from _image(image, str(number), reader)
    named = {path: option for option, path in (*_beside_arguments(domain), *options.others(arguments))}
    for path, option in named.items():
        yield from _named(path, reader, with_folders=option in FOLDERS)
    for place, path in places.unknown(domain):
        yield {"role": UNLISTED, "target": place, "path": path, UNREAD: FilePlaceUnknown.code}


def _beside_arguments(domain: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the paths in the environment of QEMU and in overridden properties of devices."""
    for one in domain.iterfind(f"{_QEMU}override//{_QEMU}property"):
        yield from (("device", path) for path in options.paths_in(one.get("value", "")))
    for one in domain.iterfind(f"{_QEMU}commandline/{_QEMU}env"):
        yield from ((ENVIRONMENT, path) for path in options.paths_in(one.get("value", "")))


def _program(path: str, reader: FileReader) -> Facts:
    """Return that only root can change a program, or the program's content."""
    try:
        place = chain.placed(reader.root, path)
        reader.seen(place)
        with chain.reading(place):
            is_roots = is_protected(place) and stat.S_ISREG(os.stat(place).st_mode)  # noqa: PTH116 - as in `protected`
    except FilesNotMeasured as refused:
        return {UNREAD: refused.code}
    return {"kind": PROTECTED} if is_roots else reader.content(place, is_boot=True)


def _memory(domain: etree._Element, memory: etree._Element, reader: FileReader) -> Facts:
    try:
        place = chain.placed(reader.root, memory.findtext("source/path", ""))
        reader.seen(place)
        with chain.reading(place):
            found = os.stat(place)  # noqa: PTH116 - as in `protected`
    except FilesNotMeasured as refused:
        return {UNREAD: refused.code}
    if not stat.S_ISREG(found.st_mode):
        return {"kind": "device"}
    if _is_written(domain, memory):
        return {"kind": "written", "size": str(found.st_size)}
    return reader.content(place, is_boot=False)


def _is_written(domain: etree._Element, memory: etree._Element) -> bool:
    """Return whether the guest's writes to a persistent memory go into the file.

    They do if the memory is shared: by its own setting, by its NUMA node, or as all memory is (libvirt's
    order).
    """
    if memory.find("readonly") is not None:
        return False
    if memory.get("model") == "virtio-pmem":
        return True
    node = memory.findtext("target/node")
    cells = [one for one in domain.iterfind("cpu/numa/cell") if node is not None and one.get("id") == node]
    general = domain.find("memoryBacking/access")
    access = (
        memory.get("access"),
        *(one.get("memAccess") for one in cells),
        None if general is None else general.get("mode"),
    )
    return next((one for one in access if one), "private") == "shared"


def _image(image: options.Image, target: str, reader: FileReader) -> Iterator[Facts]:
    role = "argument-image"
    if image.path:
        yield from reader.disk(
            inventory.Disk(role, target, image.path, image.format, image.is_read_only, is_optional=False)
        )
        return
    is_remote = image.protocol in options.REMOTE
    refused = NetworkDisk if is_remote else DiskKindUnknown
    yield {"role": role, "target": target, UNREAD: refused.code}


def _named(path: str, reader: FileReader, *, with_folders: bool) -> Iterator[Facts]:
    """Yield the facts about a path in an argument; nothing where there is no file.

    The path may be a socket or a device, or a word that begins with a slash. If there is a file later, that
    is a difference.
    """
    known: Facts = {"role": "argument", "target": path, "path": path}
    place = chain.placed(reader.root, path)
    try:
        reader.seen(place)
        with chain.reading(place):
            mode = os.stat(place).st_mode  # noqa: PTH116 - as in `protected`
            is_roots = is_protected(place)
    except FileMissing:
        return
    except FilesNotMeasured as refused:
        yield {**known, UNREAD: refused.code}
        return
    if is_roots and (stat.S_ISREG(mode) or (with_folders and stat.S_ISDIR(mode))):
        yield {**known, "kind": PROTECTED}
    elif stat.S_ISREG(mode):
        yield {**known, **reader.content(place, is_boot=True)}
    elif stat.S_ISDIR(mode) and with_folders:
        yield from _in_folder(path, reader)


def _in_folder(path: str, reader: FileReader) -> Iterator[Facts]:
    """Yield the files in a folder that others than root can change, and in the folders below it."""
    place = chain.placed(reader.root, path)
    walk = ((at, name) for at, _, names in os.walk(place) for name in names)
    files = sorted(Path(at, name) for at, name in islice(walk, LARGEST_FOLDER + 1))
    if len(files) > LARGEST_FOLDER:
        yield {"role": "argument", "target": path, "path": path, UNREAD: FileUnreadable.code}
        return
    for file in files:
        named = f"{path.rstrip('/')}/{file.relative_to(place)}"
        if file.is_file():
            yield {"role": "argument", "target": named, "path": named, **reader.content(file, is_boot=True)}


@functools.cache
def _programs() -> tuple[tuple[str, etree.XPath], ...]:
    return tuple((role, etree.XPath(xpath, smart_strings=False)) for role, xpath in PROGRAMS.items())


def _texts(xpath: etree.XPath, domain: etree._Element) -> list[str]:
    found = xpath(domain)
    return [str(one) for one in found] if isinstance(found, list) else []
