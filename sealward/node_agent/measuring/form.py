"""A form of a domain, persistent or running, with its measured files and its digests."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lxml import etree

from sealward.events.comparison.files import ALL, Listing, listed
from sealward.node_agent.measuring import canonical, profile
from sealward.node_agent.measuring.doors import hidden_doors, open_doors
from sealward.node_agent.measuring.starting import completing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.node_agent.measuring.starting.completing import Completed

Source: TypeAlias = "str | bytes | etree._Element"
"""A domain as XML, or as the tree that `canonical.parse` made of the XML.

Measuring leaves the tree unchanged."""
Files: TypeAlias = "Callable[[etree._Element], etree._Element]"
"""Returns the `<files>` of a parsed domain. Their next sibling is `<companions>`, if there are any."""


def unmeasured(domain: etree._Element) -> etree._Element:
    """Return the `<files>` of a domain whose node measures no files. No measured `<files>` equals it.

    It holds the chains of images that the domain declares: QEMU follows a declared chain, and without
    measured files nothing else in the measurement shows the chain.
    """
    files = etree.Element("files", measured="no")
    files.extend(canonical.declared_chains(domain))
    return files


class Digests(NamedTuple):
    """The digests of the strict sections of a form, the digest of all its host-bound parts, and its doors.

    `hidden` are the doors in parts that the profile leaves out. They are found before these parts are
    dropped.
    """

    sections: dict[str, str]
    bound: str
    doors: frozenset[str]
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Form:
    """The persistent or running form of a domain, with its measured files."""

    source: Source
    files: etree._Element
    companions: etree._Element | None = None

    def domain(self) -> etree._Element:
        """Return the normalised domain with its files. Raises DomainXmlRefused."""
        return self.normalised(_parsed(self.source))

    def normalised(self, domain: etree._Element) -> etree._Element:
        """Return a parsed domain in normalised form, with its files. Raises DomainXmlRefused."""
        chain = profile.MEASURED_CHAIN if self.is_measured else profile.CHAIN
        return _with(canonical.drop_noise(domain, chain), self.files)

    @property
    def is_measured(self) -> bool:
        """Say whether the node looks at files at all, even if it could read none."""
        return self.files.get("measured") != "no" or "reason" in self.files.attrib

    def listing(self) -> Listing:
        """Return the files one by one."""
        if "reason" in self.files.attrib:
            return Listing({}, {ALL: self.files.get("reason", "")})
        return listed(_attributes(self.files))

    def companion_listing(self) -> Listing | None:
        """Return the companions of the files one by one; None where the node looks at no files."""
        if self.companions is not None:
            return listed(_attributes(self.companions))
        return self.listing() if "reason" in self.files.attrib else None

    def settled(
        self, base: etree._Element, *, is_definition: bool = False
    ) -> tuple[Digests, tuple[Completed, ...]]:
        """Return the digests of the form without the changes of libvirt's start, and the completing values.

        `base` is the normalised definition that the form was made of. Raises DomainXmlRefused.
        """
        domain = self.domain()
        completed = completing.settle(base, domain, is_definition=is_definition)
        return digested(domain), completed


def read(source: Source, files: Files) -> tuple[Form, Digests]:
    """Return a form and its digests. Raises DomainXmlRefused, and the exceptions of `files`."""
    domain = _parsed(source)
    seen, hidden = files(domain), hidden_doors(domain)
    form = Form(source, seen, seen.getnext())
    return form, digested(form.normalised(domain))._replace(hidden=hidden)


def _parsed(source: Source) -> etree._Element:
    """Return a tree of the domain that the caller may take apart. Raises DomainXmlRefused.

    A copy of a tree costs about a third of parsing the XML (53 instead of 180 us for 10 KB).
    """
    return canonical.parse(source) if isinstance(source, str | bytes) else copy.deepcopy(source)


def digested(domain: etree._Element) -> Digests:
    """Return the digests of a normalised domain. The domain is taken apart. Raises DomainXmlRefused."""
    doors = open_doors(domain)
    bound = canonical.take_host_bound(canonical.blank_assigned(domain))
    return Digests(canonical.section_digests(domain), bound, doors)


def _attributes(files: etree._Element) -> Iterator[dict[str, str]]:
    for one in files:
        yield {str(key): str(value) for key, value in one.attrib.items()}


def _with(domain: etree._Element, files: etree._Element) -> etree._Element:
    """Return a normalised domain with its files. Raises DomainXmlRefused."""
    if domain.find("files") is not None:
        raise canonical.DomainXmlRefused("it has a <files> of its own")
    domain.append(copy.copy(files))
    return domain
