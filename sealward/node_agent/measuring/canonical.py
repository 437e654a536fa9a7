"""From domain XML, which may be hostile, to one digest per section.

The steps: parse the XML, refuse XML that cannot be measured faithfully, drop the profile's noise, write every
element in exclusive C14N 1.0, hash each section. Measured costs are in tests/benchmarks/bench_measure.py.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from typing import TYPE_CHECKING, TypeGuard, cast

from lxml import etree

from sealward.error import SealwardError
from sealward.node_agent.measuring import profile
from sealward.node_agent.measuring.classes import BLANKED, BOUND, LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.node_agent.measuring.classes import Part

MAX_BYTES = 4 * 1024 * 1024
# A large real domain has under 2 000 tags; each element costs a few microseconds, so this bounds the time.
MAX_TAGS = 100_000
# For canonical XML libxml2 sorts attributes and namespaces by insertion, in quadratic time: 200 000
# attributes on one element took over five minutes. Real elements have about ten.
MAX_ATTRIBUTES = 500
MAX_NAMESPACES = 500

_BLANKS = " \t\r\n"
_DIGEST_HEADER = profile.DIGESTS


class DomainXmlRefused(SealwardError, ValueError):
    """The domain XML cannot be measured."""

    code = "measurement.xml-refused"

    def __init__(self, reason: str) -> None:
        """Say which rule the document broke; `reason` never quotes the document."""
        super().__init__(f"The domain XML cannot be measured: {reason}")
        self.reason = reason


def parse(xml: str | bytes, root_tag: str = "domain") -> etree._Element:
    """Parse untrusted XML into a tree without comments, processing instructions and blank text.

    Blanks at the ends of other text stay. Raises DomainXmlRefused for XML that could not be measured without
    dropping or guessing content, or that takes too long: XML beyond the limits above, a DOCTYPE, another
    encoding than UTF-8, another root than `root_tag`, text beside elements, and XML beyond the limits of
    libxml2 (for example a nesting of more than 256 elements).
    """
    data = _checked_bytes(xml)
    try:
        root = etree.fromstring(data, _parser(fast=_has_only_tags(data)))
    except etree.XMLSyntaxError as error:
        reason = f"it is not well formed (line {error.lineno})"
        raise DomainXmlRefused(reason) from error
    if root.tag != root_tag:
        reason = f"its root is not <{root_tag}>"
        raise DomainXmlRefused(reason)
    if data.count(b"=") > MAX_ATTRIBUTES and _select(_CROWDED, root):
        reason = f"it has an element with more than {MAX_ATTRIBUTES} attributes"
        raise DomainXmlRefused(reason)
    if _select(_ODD_TEXT, root):
        _tidy_text(root)
    return root


def normalise(xml: str | bytes) -> etree._Element:
    """Parse a domain and drop the parts that the profile does not measure. Raises DomainXmlRefused."""
    return blank_assigned(drop_noise(parse(xml)))


def drop_noise(root: etree._Element, chain: str = profile.MEASURED_CHAIN) -> etree._Element:
    """Drop the parts of a parsed domain that the profile leaves out, and return the domain.

    `chain` selects the chains of images that are dropped as well, because the element `<files>` describes
    them completely.
    """
    for node in _select(_noise_xpath(chain), root):
        _drop(node)
    return root


def declared_chains(domain: etree._Element) -> Iterator[etree._Element]:
    """Yield a copy of each disk in a parsed domain that declares a chain of images: its target and chain."""
    for disk in domain.iterfind("devices/disk"):
        kept = [copy.deepcopy(one) for one in disk if one.tag in ("target", "backingStore")]
        if any(one.tag == "backingStore" for one in kept):
            bare = etree.Element("disk")
            bare.extend(kept)
            yield bare


def blank_assigned(root: etree._Element) -> etree._Element:
    """Drop the values that libvirt picks when a domain is defined, and return the domain.

    The elements that have these values stay where they are.
    """
    for xpath, names in _blanked():
        for element in cast("list[etree._Element]", xpath(root)):
            for name in names.intersection(element.keys()):
                del element.attrib[name]
    return root


def take_host_bound(
    domain: etree._Element, bound: tuple[Part, ...] = BOUND, *, hosts_in_order: bool = False
) -> str:
    """Cut the host-bound parts out of a normalised domain and return their SHA-256 hex.

    The digest covers the place and the value of each part. The hosts that serve a network disk count as a
    set, because a client may ask any of these hosts, unless the hosts are digested `hosts_in_order`. Raises
    DomainXmlRefused.
    """
    found = hashlib.sha256(_DIGEST_HEADER + b"host-bound\0")
    nodes = _select(_bound_xpath(bound), domain)
    hosts = () if hosts_in_order else [node for node in nodes if _is_host(node)]
    rest = [node for node in nodes if node not in hosts]
    for text in [*map(_located, rest), *sorted(_among(host) for host in hosts)]:
        found.update(len(text).to_bytes(8, "big") + text)
    for node in nodes:
        owner = node.getparent()
        _drop(node)
        if isinstance(node, etree._Element) and owner is not None:
            _drop_bare(owner)
    return found.hexdigest()


def placed(domain: etree._Element) -> Iterator[tuple[str, str, etree._Element]]:
    """Yield (section, XPath of the parent, element) for each measured part of a normalised domain, in order.

    The attributes of <domain> and of <devices> are parts of their own: empty elements with these attributes.
    """
    yield profile.DOMAIN_SECTION, "", _bare(domain)
    for element in domain:
        if element.tag != "devices":
            yield _section(str(element.tag), profile.ELEMENT_SECTIONS), "/domain", element
            continue
        if element.attrib:
            yield profile.CONTAINER_SECTION, "/domain", _bare(element)
        for device in element:
            yield _section(str(device.tag), profile.DEVICE_SECTIONS), "/domain/devices", device


def section_digests(domain: etree._Element) -> dict[str, str]:
    """Return SHA-256 hex by section of a normalised domain, also for sections without parts.

    Each digest covers the profile and section names and, length-prefixed, the C14N of each part in document
    order, because the guest sees the devices in this order. Raises DomainXmlRefused.
    """
    hashes = {name: hashlib.sha256(_DIGEST_HEADER + name.encode() + b"\0") for name in profile.SECTIONS}
    for section, _, element in placed(domain):
        text = canonical_bytes(element)
        hashes[section].update(len(text).to_bytes(8, "big") + text)
    return {name: found.hexdigest() for name, found in hashes.items()}


def canonical_bytes(element: etree._Element) -> bytes:
    """Write an element in exclusive C14N 1.0. Raises DomainXmlRefused for relative namespace names."""
    try:
        return etree.tostring(element, method="c14n", exclusive=True)
    except etree.C14NError as error:
        reason = "it has no canonical form"
        raise DomainXmlRefused(reason) from error


def _checked_bytes(xml: str | bytes) -> bytes:
    try:
        data = xml.encode() if isinstance(xml, str) else xml
        data.decode()
    except UnicodeError as error:
        reason = "it is not UTF-8"
        raise DomainXmlRefused(reason) from error
    if len(data) > MAX_BYTES:
        reason = f"it is larger than {MAX_BYTES} bytes"
        raise DomainXmlRefused(reason)
    # The text is UTF-8 for certain, so no other spelling of these marks can reach the parser.
    if b"<!DOCTYPE" in data:
        reason = "it has a DOCTYPE"
        raise DomainXmlRefused(reason)
    if data.count(b"<") - data.count(b"</") > MAX_TAGS or data.count(b"xmlns") > MAX_NAMESPACES:
        reason = f"it has more than {MAX_TAGS} tags or {MAX_NAMESPACES} namespaces"
        raise DomainXmlRefused(reason)
    return data


def _has_only_tags(data: bytes) -> bool:
    """Tell whether libxml2 may drop blank text while parsing.

    libxml2 decides by the next markup: in `<a> <![CDATA[x]]></a>` it would drop the blank as indentation.
    """
    return b"<!" not in data and b"<?" not in data


@functools.cache
def _parser(*, fast: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=fast,
        collect_ids=False,
    )


# Text that is blank, or stands where only elements may stand. Most domains have none, and this XPath finds
# that out in a fraction of the time that a walk in Python takes.
_ODD_TEXT = etree.XPath(
    "/descendant::text()[../* or not(normalize-space()) or parent::domain or parent::devices]",
    smart_strings=False,
)


_CROWDED = etree.XPath(f"//*[count(@*) > {MAX_ATTRIBUTES}]")


@functools.cache
def _noise_xpath(chain: str) -> etree.XPath:
    return _union((chain, *(xpath for part in LEFT_OUT for xpath in part.xpaths)))


@functools.cache
def _blanked() -> tuple[tuple[etree.XPath, frozenset[str]], ...]:
    return tuple((etree.XPath(one.xpath), one.attributes) for one in BLANKED)


@functools.cache
def _bound_xpath(bound: tuple[Part, ...]) -> etree.XPath:
    return _union(xpath for part in bound for xpath in part.xpaths)


def _union(xpaths: Iterable[str]) -> etree.XPath:
    return etree.XPath(" | ".join(xpaths), namespaces=profile.NAMESPACES)


def _is_host(node: etree._Element | etree._ElementUnicodeResult) -> TypeGuard[etree._Element]:
    return isinstance(node, etree._Element) and node.tag == "host"


def _located(node: etree._Element | etree._ElementUnicodeResult) -> bytes:
    """Return the place of a node and its content, as bytes."""
    if isinstance(node, etree._Element):
        return node.getroottree().getpath(node).encode() + b"\0" + canonical_bytes(node)
    owner = node.getparent()
    place = "" if owner is None else owner.getroottree().getpath(owner)
    return f"{place}/@{node.attrname}\0{node}".encode()


def _among(host: etree._Element) -> bytes:
    """Return the content of a host of a network disk, and the place of the disk's hosts, as bytes."""
    owner = host.getparent()
    place = "" if owner is None else owner.getroottree().getpath(owner)
    return place.encode() + b"\0" + canonical_bytes(host)


def _select(xpath: etree.XPath, root: etree._Element) -> list[etree._Element | etree._ElementUnicodeResult]:
    return cast("list[etree._Element | etree._ElementUnicodeResult]", xpath(root))


def _tidy_text(root: etree._Element) -> None:
    place = "metadata" if root.tag == "domain" else "*/domain/metadata"
    of_applications = {one for metadata in root.iterfind(place) for one in metadata.iterdescendants()}
    for element in root.iter():
        if element in of_applications:
            _tidy_mixed(element)
            continue
        if not (element.text or "").strip(_BLANKS):
            element.text = None
        if (element.tail or "").strip(_BLANKS) or (element.text and _is_container(element, root)):
            reason = "it has text beside elements"
            raise DomainXmlRefused(reason)
        element.tail = None


def _tidy_mixed(element: etree._Element) -> None:
    """Drop blank text. Text beside elements, which applications may write into <metadata>, is measured."""
    if not (element.text or "").strip(_BLANKS):
        element.text = None
    if not (element.tail or "").strip(_BLANKS):
        element.tail = None


def _is_container(element: etree._Element, root: etree._Element) -> bool:
    """Tell whether an element is <domain> or <devices>: these are taken apart, and lose their own text."""
    return bool(len(element)) or element is root or (element.getparent() is root and element.tag == "devices")


def _drop(node: etree._Element | etree._ElementUnicodeResult) -> None:
    owner = node.getparent()
    if owner is None:
        return
    if isinstance(node, etree._Element):
        owner.remove(node)
        return
    if node.is_text:
        owner.text = None
        return
    del owner.attrib[str(node.attrname)]
    parent = owner.getparent()
    if parent is None or parent.tag in ("domain", "devices"):
        return
    if not owner.attrib and not len(owner) and not owner.text:
        parent.remove(owner)


def _drop_bare(element: etree._Element) -> None:
    """Drop an element without attributes and content, unless it is a device or <devices>."""
    parent = element.getparent()
    if parent is None or "devices" in (parent.tag, element.tag):
        return
    if not element.attrib and not len(element) and not element.text:
        parent.remove(element)


def _section(tag: str, table: dict[str, str]) -> str:
    found = table.get(tag)
    if found is not None:
        return found
    return "qemu-ext" if tag.startswith("{" + profile.QEMU_NAMESPACE + "}") else "other"


def _bare(element: etree._Element) -> etree._Element:
    return etree.Element(element.tag, dict(element.attrib))
