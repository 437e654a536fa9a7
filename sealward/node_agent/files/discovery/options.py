"""Files in arguments of QEMU (`<qemu:commandline>`) other than those of `arguments`.

`images` are those that -drive, -blockdev and related options open. They follow the rules of QEMU's block
layer: a node for the format is above a node for the file; nodes are nested, or refer to each other by name.
`others` are all other absolute paths in arguments: an unknown option counts like a known one. `PASSED_OVER`
lists the options that do not count, by the reason.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from sealward.node_agent.files.discovery.arguments import NAMED, WHOLE, is_on, read_by_qemu, settings
from sealward.node_agent.files.discovery.chain import UNSTATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DISKS: Final = frozenset(("hda", "hdb", "hdc", "hdd", "fda", "fdb", "cdrom", "sd", "mtdblock", "pflash"))
"""Options whose argument is an image. Its format is guessed."""
PASSED_OVER: Final = {
    "guests and the viewers of their consoles talk through it": ("chardev", "serial", "parallel", "debugcon"),
    "QEMU is told or debugged through it": ("monitor", "mon", "qmp", "qmp-pretty", "gdb"),
    "QEMU writes to it": ("D", "pidfile", "writeconfig", "audiodev", "trace"),
    "guest and host share it, and the guest writes to it": ("fsdev", "virtfs"),
    "it has keys or passwords, of which an agent must not tell even a digest": ("spice", "vnc"),
    "it is text for the guest, or names something": ("append", "name", "uuid"),
    "`arguments` knows all of its files": tuple((WHOLE | NAMED.keys()) - {"device"}),
}
"""Options whose paths do not count here, by the reason."""
SECRET_OBJECTS: Final = ("tls-creds", "secret", "tls-cipher")
"""Kinds of -object whose files hold keys or passwords, of which an agent must not tell even a digest."""
WRITTEN_OBJECTS: Final = ("filter-dump",)
"""Kinds of -object whose file QEMU writes to, beside shared guest memory."""
REMOTE: Final = frozenset(
    ("nbd", "rbd", "iscsi", "ssh", "http", "https", "ftp", "ftps", "gluster", "nfs", "sheepdog")
)
"""Drivers and protocols of images on the network."""

MOST: Final = 1000
"""Nodes of the block layer that arguments may name. With more, no image is told."""
DEEPEST: Final = 16
"""Levels of nested nodes, and of other JSON, that are followed."""
_SILENT: Final = frozenset(option for options in PASSED_OVER.values() for option in options)
_OPENS: Final = frozenset(("file", "host_device", "host_cdrom"))
"""Drivers that open a file of the node."""
_FILTERS: Final = frozenset(("throttle", "copy-on-read", "blkdebug", "preallocate", "compress"))
"""Drivers that stand between a format and its file, or above a format, and change neither."""
_NO_FILE: Final = frozenset(("null-co", "null-aio", "nvme"))
"""Drivers that have no file: all about them is in the argument."""
_NAMED_FILE: Final = re.compile(r"(?:file|host_device|host_cdrom):(?://(?=/))?")
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FAT: Final = "fat:"
_MORE: Final = re.compile(r"[:\s]")


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an argument.

    `path` is empty where the image is not a file of the node but has a `protocol`.
    """

    path: str
    format: str
    is_read_only: bool
    protocol: str = ""


@dataclass(slots=True)
class _Node:
    """A node of QEMU's block layer: its options, the node above it, and the name of the link to it."""

    options: dict[str, Any]
    above: _Node | None = None
    link: str = ""
    has_below: bool = False

    @property
    def driver(self) -> str:
        return str(self.options.get("driver", ""))

    @property
    def format(self) -> str:
        """Return the format of the file that this node opens."""
        node: _Node | None = self
        while node is not None:
            if node.driver and node.driver not in _OPENS | _FILTERS:
                return node.driver
            node = node.above
        return "raw"

    @property
    def is_read_only(self) -> bool:
        """Return whether nothing is written to the file through this node."""
        node: _Node | None = self
        while node is not None:
            if node.link == "backing" or any(
                is_on(node.options.get(name)) or node.options.get(name) == ""  # the name alone means on
                for name in ("read-only", "readonly", "snapshot")
            ):
                return True
            node = node.above
        return False


def images(arguments: Sequence[str]) -> Iterator[Image]:
    """Yield the images, in the order of the arguments."""
    is_temporary = "-snapshot" in arguments or "--snapshot" in arguments
    nodes = list(islice((node for top in _tops(arguments) for node in _walk(top)), MOST + 1))
    if len(nodes) > MOST:
        yield Image("", UNSTATED, is_read_only=True, protocol="too many")
        return
    _join(nodes)
    for node in nodes:
        image = _image(node)
        if image is not None:
            yield Image(image.path, image.format, image.is_read_only or is_temporary, image.protocol)


def others(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the option and the path of all other absolute paths. A path may be that of no file at all."""
    known = set(read_by_qemu(arguments))
    for option, argument in pairwise(arguments):
        name = option.lstrip("-")
        if not option.startswith("-") or name in _SILENT | DISKS | {"drive", "blockdev"}:
            continue
        if name == "object" and _is_silent(argument):
            continue
        yield from ((name, path) for path in paths_in(argument) if path not in known)


def paths_in(argument: str) -> Iterator[str]:
    """Yield possible absolute paths in an argument, which is `key=value,...`, JSON, or words."""
    for text in _texts(_json(argument) or settings(argument)):
        for word in (text, *_MORE.split(text)):
            if word.startswith("/"):
                yield word


def _is_silent(argument: str) -> bool:
    """Return whether the files of an -object do not count."""
    found: dict[str, Any] = _json(argument) or settings(argument)
    kind = str(found.get("qom-type") or argument.partition(",")[0])
    is_shared = kind == "memory-backend-file" and is_on(found.get("share"))
    return is_shared or kind.startswith((*SECRET_OBJECTS, *WRITTEN_OBJECTS))


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict() if depth < DEEPEST:
            for key, one in value.items():
                yield from _texts(one or key, depth + 1)
        case list() if depth < DEEPEST:
            for one in value:
                yield from _texts(one, depth + 1)


def _json(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty object where the text is none."""
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tops(arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the options of each node that an argument creates."""
    if arguments and not arguments[0].startswith("-"):
        yield _drive({"file": arguments[0]})
    for option, argument in pairwise(arguments):
        name = option.lstrip("-")
        if not option.startswith("-"):
            if not argument.startswith("-"):  # QEMU takes it for -hda
                yield _drive({"file": argument})
        elif name in DISKS:
            yield _drive({"file": argument, "readonly": "on" if name == "cdrom" else "off"})
        elif name == "drive":
            yield _drive(settings(argument))
        elif name == "blockdev":
            yield _json(argument) or _nested(settings(argument))


def _drive(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of -drive in the form of -blockdev."""
    name = options.pop("file", None)
    top = _nested(options)
    top["driver"] = options.get("format") or options.get("driver") or UNSTATED
    if isinstance(name, str) and name:
        top["file"] = _json(name.removeprefix("json:")) or {"driver": "file", "filename": name}
    return top


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Return `file.filename=x` as `{"file": {"filename": x}}`."""
    top: dict[str, Any] = {}
    for key, value in flat.items():
        *way, last = key.split(".")
        at = top
        for step in way:
            inner = at.get(step)
            at[step] = inner if isinstance(inner, dict) else {}
            at = at[step]
        at[last] = value
    return top


def _walk(
    options: dict[str, Any], above: _Node | None = None, link: str = "", depth: int = 0
) -> Iterator[_Node]:
    """Yield a node and the nodes inside it.

    A node that is nested too deep becomes a node of an unknown driver.
    """
    node = _Node(options if depth < DEEPEST else {"driver": "nested"}, above, link)
    if above is not None:
        above.has_below = True
    yield node
    for key, value in node.options.items():
        if isinstance(value, dict):
            yield from _walk(value, node, key, depth + 1)


def _join(nodes: list[_Node]) -> None:
    """Put nodes that other nodes refer to by name below those nodes."""
    named = {str(node.options["node-name"]): node for node in nodes if "node-name" in node.options}
    for node in nodes:
        for key, value in node.options.items():
            below = named.get(value) if isinstance(value, str) and key != "node-name" else None
            if below is not None and below.above is None and not _is_above(below, node):
                below.above, below.link, node.has_below = node, key, True


def _is_above(one: _Node, other: _Node) -> bool:
    node: _Node | None = other
    while node is not None:
        if node is one:
            return True
        node = node.above
    return False


def _image(node: _Node) -> Image | None:
    """Return the image that a node opens itself; None where it opens none."""
    name = node.options.get("filename")
    if isinstance(name, str) and name and (not node.driver or node.driver in _OPENS):
        path = _NAMED_FILE.sub("", name, count=1) if _NAMED_FILE.match(name) else name
        if not path.startswith("/") and _PROTOCOL.match(path):
            return Image(
                "", node.format, node.is_read_only, "fat" if path.startswith(_FAT) else path.split(":")[0]
            )
        return Image(f"/{path.lstrip('/')}", node.format, node.is_read_only)
    is_leaf = not node.has_below and node.driver and node.driver not in _NO_FILE | {UNSTATED}
    return Image("", node.format, node.is_read_only, node.driver) if is_leaf else None
