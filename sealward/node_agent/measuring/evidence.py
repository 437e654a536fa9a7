"""The evidence of a measurement: canonical XML of both forms, deflated, with the secrets masked.

    <evidence profile="libvirt-domain/3">
      <config><domain>…</domain></config>      the persistent form, normalised <live
      sections="…"><domain>…</domain></live>   the deviating sections of the running form, if there are any
      <companions>…</companions>               companions of the files, if the node looks at files </evidence>

Evidence has the values that libvirt assigns, although no digest covers them: a later profile may measure more
of a reference than the profile that the reference was sealed under.
"""

from __future__ import annotations

import copy
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from lxml import etree

from sealward.node_agent.measuring import canonical, masking

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealward.node_agent.measuring.form import Form

PROFILES: Final = ("libvirt-domain/2", "libvirt-domain/3")
"""The profiles whose evidence the profile in force can measure. Their evidence has the same form."""


class Evidence(NamedTuple):
    """Evidence that was read: the definition and, if there are any, the running form and the companions."""

    profile: str
    config: etree._Element
    live: etree._Element | None
    live_sections: frozenset[str]
    companions: etree._Element | None


def written(profile: str, config: Form, live: Form | None, sections: Collection[str]) -> bytes:
    """Return the evidence of both forms, about 2 KB for a usual domain. Raises DomainXmlRefused.

    The evidence has the whole persistent form, and of the running form the given `sections` alone.
    """
    root = etree.Element("evidence", profile=profile)
    etree.SubElement(root, "config").append(config.domain())
    if live is not None and sections:
        form = etree.SubElement(root, "live", sections=" ".join(sorted(sections)))
        form.append(_only(live.domain(), sections))
    if config.companions is not None:
        root.append(copy.copy(config.companions))
    masking.mask_tree(root)
    return zlib.compress(canonical.canonical_bytes(root), 9)


def read(evidence: bytes) -> Evidence | None:
    """Return the content of evidence; None if it is damaged, too large or of a profile that is not known.

    Evidence may come from another machine, so secrets in it are masked once more.
    """
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(evidence, canonical.MAX_BYTES)
        root = canonical.parse(text, "evidence")
        canonical.canonical_bytes(root)  # so that no part of it can refuse later
    except (zlib.error, canonical.DomainXmlRefused):
        return None
    config, form = root.find("config/domain"), root.find("live")
    if config is None or root.get("profile") not in PROFILES or not inflater.eof:
        return None
    masking.mask_tree(root)
    sections = "" if form is None else form.get("sections", "")
    return Evidence(
        root.get("profile", ""),
        config,
        root.find("live/domain"),
        frozenset(sections.split()),
        root.find("companions"),
    )


def _only(domain: etree._Element, sections: Collection[str]) -> etree._Element:
    """Return a new <domain> with the parts of these sections alone."""
    kept = etree.Element("domain")
    devices = etree.Element("devices")
    homes = {"/domain": kept, "/domain/devices": devices}
    for section, parent, part in list(canonical.placed(domain)):
        if section not in sections:
            continue
        bare = {("", "domain"): kept, ("/domain", "devices"): devices}.get((parent, str(part.tag)))
        if bare is None:
            homes[parent].append(part)
        else:
            bare.attrib.update(dict(part.attrib))
    kept.append(devices)
    return kept
