"""Doors of a domain: the ways in from outside that are in host-bound parts or in parts left out as noise.

A move may rewrite host-bound parts, and the new values are learned. A door is never learned: a door that was
not there when the server was signed is a violation (`events.comparison.binding`). Doors in strict parts need
no rule of their own, because every change of a strict part is a violation. Most listeners are in strict parts
(tests/attacks/test_listeners.py walks through the listeners that libvirt knows).

Noise is dropped because its value does not count, for example the number of a port. But it does count whether
a console has a websocket at all. Doors of this kind are called hidden, and are looked for before noise is
dropped.

The password of a console is not among the doors. libvirt does not show a read-only client the password, nor
whether a password is set (libvirt 9.0, observed).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Door:
    """A way in: it is open where `xpath` finds something below <domain>."""

    what: str
    why: str
    xpath: str


DOORS: Final = (
    Door(
        "memory is a file",
        "another process that opens the file reads and writes the memory of the server",
        "memoryBacking/source[@type='file' or @type='memfd']",
    ),
    Door(
        "memory is shared",
        "another process that is given the memory sees what the server writes to it, and writes itself",
        "memoryBacking/access[@mode='shared']",
    ),
    Door(
        "memory of some cells is shared",
        "as above, for a part of the memory",
        "cpu/numa/cell[@memAccess='shared']",
    ),
    Door(
        "pages may be merged",
        "servers whose equal pages are merged can tell what is in the memory of others by timing",
        "self::domain[not(memoryBacking/nosharepages)]",
    ),
    Door(
        "memory may be swapped out",
        "what was in memory stays on a disk of the host",
        "self::domain[not(memoryBacking/locked)]",
    ),
)

HIDDEN: Final = (
    Door(
        "offers a websocket",
        "one more port listens for the console; its number is noise where libvirt chooses it",
        "devices/graphics[@websocket]",
    ),
)
"""Doors in parts that the profile leaves out as noise."""

LISTENING: Final = (
    "devices/graphics/@listen",
    "devices/graphics/listen/@address",
    "devices/graphics/listen/@type[. = 'network']",
    "devices/*[self::serial or self::console or self::parallel or self::channel]/source/@host",
)
"""Places of addresses, or of libvirt networks with an address, where a server is reached past its own network
cards."""
BEYOND: Final = "listens beyond the node"
EVERYBODY: Final = "listens on every address"

_IPV4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_LOOPBACK: Final = re.compile(r"127(?:\.\d{1,3}){1,3}|[0:]*:0*1|localhost")


def open_doors(domain: etree._Element) -> frozenset[str]:
    """Return the doors of a domain without noise, each as `XPath: kind of the door`."""
    return frozenset((*_standing(domain), *_listening(domain)))


def hidden_doors(domain: etree._Element) -> frozenset[str]:
    """Return the hidden doors of a parsed domain, from which no noise has been dropped."""
    return frozenset(
        f"{domain.getroottree().getpath(device)}: {door.what}"
        for xpath, door in _compiled(HIDDEN)
        for device in cast("list[etree._Element]", xpath(domain))
    )


def _standing(domain: etree._Element) -> Iterator[str]:
    for xpath, door in _compiled(DOORS):
        if xpath(domain):
            yield f"/domain: {door.what}"


def _listening(domain: etree._Element) -> Iterator[str]:
    for node in _listening_at()(domain):
        place = "/".join(domain.getroottree().getpath(node.getparent()).split("/")[:4])
        reach = BEYOND if node == "network" and node.attrname == "type" else reach_of(str(node))
        if reach is not None:
            yield f"{place}: {BEYOND}"
        if reach == EVERYBODY:
            yield f"{place}: {EVERYBODY}"


def reach_of(address: str) -> str | None:
    """Return from where a console at that address can be reached; None where only the node can reach it.

    A text that is not an address in the usual form can stand for any address: a name, or forms like `0`,
    `0x0`.
    """
    text = address.strip().strip("[]").lower().removeprefix("::ffff:")
    if _LOOPBACK.fullmatch(text):
        return None
    if text and set(text) <= set("0.:"):
        return EVERYBODY
    if _IPV4.fullmatch(text) or ":" in text:
        return BEYOND
    return EVERYBODY


@functools.cache
def _compiled(doors: tuple[Door, ...]) -> tuple[tuple[etree.XPath, Door], ...]:
    return tuple((etree.XPath(door.xpath), door) for door in doors)


@functools.cache
def _listening_at() -> etree.XPath:
    return etree.XPath(" | ".join(LISTENING))
