"""Objects that a domain names and libvirt keeps elsewhere: networks, filters, storage pools and volumes.

A domain names them, and their content decides what the server is connected to and what it reads. A client
that may only read gets their definitions. Parts that do not decide that are left out: ids, sizes that grow,
and the addresses and names that a network hands out, which tools change for each server that they make.

A name that libvirt does not know is left out, and so is each name where libvirt's daemon has no such driver.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import libvirt
from lxml import etree

from sealward.characters import escaped
from sealward.node_agent.measuring import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Lookup = Callable[[libvirt.virConnect, str], str]

MARKS: Final = (" network='", "<filterref ", " pool='")
"""One of them is in the XML of a domain that names anything: libvirt puts values in single quotes."""
NETWORK: Final = frozenset(("name", "forward", "bridge", "virtualport", "vlan", "portgroup", "port", "mtu"))
"""The parts of a network that decide what an interface is plugged into."""
POOL: Final = frozenset(("name", "source", "target"))
"""The parts of a storage pool that decide where its volumes are."""
REMEMBERED_FOR: Final = 1.0
"""Seconds for which a definition is not asked for again: many servers of a node share a network."""
MOST: Final = 100
"""Names of one domain that are followed."""
LONGEST: Final = 500
"""Bytes of a name that are kept."""
MOST_FILTERS: Final = 200
"""Filters that a filter may include, directly or not."""


@dataclass(frozen=True, slots=True)
class Named:
    """The objects that a domain names: digests of definitions and paths of volumes, by `KIND/NAME`.

    `read_only` has the paths of the volumes that the server only reads, by the same key: their content
    counts, too.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    read_only: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Named()


class Definitions:
    """Reads the objects that domains name, and caches them for a moment. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str | None]] = {}

    def forget(self) -> None:
        """Ask anew for everything: a definition has changed."""
        with self._lock:
            self._known.clear()

    def of(self, connection: libvirt.virConnect, config: str) -> Named:
        """Return what a domain names, given its persistent form. Raises libvirtError."""
        if not any(mark in config for mark in MARKS):
            return NOTHING
        try:
            domain = canonical.parse(config)
        except canonical.DomainXmlRefused:
            return NOTHING
        facts: dict[str, str] = {}
        read_only: dict[str, str] = {}
        for kind, name in list(_names(domain))[:MOST]:
            found = self._fact(connection, kind, name)
            if found is not None:
                facts[_key(kind, name)] = found
        for disk in domain.iterfind("devices/disk[@type='volume']"):
            key = _volume(disk.find("source"))
            is_read = disk.get("device") == "cdrom" or disk.find("readonly") is not None
            if key is not None and is_read and _key("volume", key) in facts:
                read_only[_key("volume", key)] = facts[_key("volume", key)]
        return Named(facts, read_only)

    def _fact(self, connection: libvirt.virConnect, kind: str, name: str) -> str | None:
        key, now = f"{kind}/{name}", time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now - known[0] < REMEMBERED_FOR:
            return known[1]
        found: str | None = None
        with contextlib.suppress(_Unknown):
            found = _asked(_LOOKUPS[kind], connection, name)
        with self._lock:
            self._known[key] = now, found
        return found


class _Unknown(Exception):
    """libvirt knows nothing of that name, or its daemon has no driver for it."""


_NOT_THERE: Final = frozenset(
    (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_NWFILTER,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_OPERATION_INVALID,  # a pool that is not active
    )
)


def _asked(lookup: Lookup, connection: libvirt.virConnect, name: str) -> str:
    """Return what libvirt knows of a name. Raises _Unknown, libvirtError."""
    try:
        return lookup(connection, name)
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in _NOT_THERE:
            raise _Unknown from failed
        raise


def _key(kind: str, name: str) -> str:
    return f"{kind}/{escaped(name, LONGEST)}"


def _names(domain: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each thing that a domain names; a thing may come more than once."""
    for one in domain.iterfind("devices//*[@network]"):
        yield "network", one.get("network", "")
        yield "network-link", one.get("network", "")
    for one in domain.iterfind("devices//filterref[@filter]"):
        yield "nwfilter", one.get("filter", "")
    for one in domain.iterfind("devices//source[@pool]"):
        yield "pool", one.get("pool", "")
        yield "pool-place", one.get("pool", "")
        key = _volume(one)
        if key is not None:
            yield "volume", key


def _volume(source: etree._Element | None) -> str | None:
    if source is None or source.get("pool") is None or source.get("volume") is None:
        return None
    return f"{source.get('pool')}/{source.get('volume')}"


def _network(connection: libvirt.virConnect, name: str) -> str:
    network = connection.networkLookupByName(name)
    flags = libvirt.VIR_NETWORK_XML_INACTIVE if network.isPersistent() else 0
    return _digest(_only(network.XMLDesc(flags), NETWORK))


def _network_link(connection: libvirt.virConnect, name: str) -> str:
    """Return in words what a network is plugged into: how it forwards, and its bridge or devices."""
    network = connection.networkLookupByName(name)
    flags = libvirt.VIR_NETWORK_XML_INACTIVE if network.isPersistent() else 0
    definition = _parsed(network.XMLDesc(flags))
    forward, bridge = definition.find("forward"), definition.find("bridge")
    mode = "isolated" if forward is None else forward.get("mode", "nat")
    ports = () if forward is None else (forward, *forward.iter("pf", "interface"))
    devices = [one.get("dev", "") for one in ports]
    names = (*([] if bridge is None else [bridge.get("name", "")]), *dict.fromkeys(devices))
    return escaped(" ".join((mode, *filter(None, names))), LONGEST)


def _pool_place(connection: libvirt.virConnect, name: str) -> str:
    """Return in words where a pool lies: its kind, and its source or its folder."""
    pool = connection.storagePoolLookupByName(name)
    flags = libvirt.VIR_STORAGE_XML_INACTIVE if pool.isPersistent() else 0
    definition = _parsed(pool.XMLDesc(flags))
    source = [
        one.get(attribute, "")
        for path, attribute in (("host", "name"), ("dir", "path"), ("device", "path"), ("adapter", "name"))
        for one in definition.iterfind(f"source/{path}")
    ]
    words = (definition.get("type", ""), *source, definition.findtext("source/name", ""))
    place = definition.findtext("target/path", "")
    return escaped(" ".join(filter(None, (*words, place))), LONGEST)


def _pool(connection: libvirt.virConnect, name: str) -> str:
    pool = connection.storagePoolLookupByName(name)
    flags = libvirt.VIR_STORAGE_XML_INACTIVE if pool.isPersistent() else 0
    definition = _only(pool.XMLDesc(flags), POOL)
    for permissions in definition.findall("target/permissions"):
        permissions.getparent().remove(permissions)  # type: ignore[union-attr]  # a <target> holds it
    return _digest(definition)


def _path(connection: libvirt.virConnect, name: str) -> str:
    pool, _, volume = name.partition("/")
    return str(connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path())


def _filter(connection: libvirt.virConnect, name: str) -> str:
    """Return the digest of a filter and of all filters that it includes."""
    seen: dict[str, str] = {}
    waiting = [name]
    while waiting and len(seen) < MOST_FILTERS:
        one = waiting.pop()
        if one in seen:
            continue
        try:
            definition = _parsed(connection.nwfilterLookupByName(one).XMLDesc(0))
        except libvirt.libvirtError as failed:
            if one == name or failed.get_error_code() != libvirt.VIR_ERR_NO_NWFILTER:
                raise
            seen[one] = "missing"
            continue
        for id_ in definition.findall("uuid"):
            definition.remove(id_)
        seen[one] = _digest(definition)
        waiting.extend(each.get("filter", "") for each in definition.iterfind(".//filterref[@filter]"))
    return hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()


_LOOKUPS: Final[Mapping[str, Lookup]] = {
    "network": _network,
    "network-link": _network_link,
    "nwfilter": _filter,
    "pool": _pool,
    "pool-place": _pool_place,
    "volume": _path,
}


def _only(xml: str, tags: frozenset[str]) -> etree._Element:
    """Return a definition with its attributes and those of its children alone."""
    whole = _parsed(xml)
    for child in list(whole):
        if child.tag not in tags:
            whole.remove(child)
    for one in whole.iter(etree.Element):
        one.attrib.pop("connections", None)  # how many servers are plugged in now
    return whole


def _parsed(xml: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
    return etree.fromstring(xml.encode(), parser)


def _digest(definition: etree._Element) -> str:
    return hashlib.sha256(etree.tostring(definition, method="c14n", exclusive=True)).hexdigest()
