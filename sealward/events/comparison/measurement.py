"""The measurement of a server at one moment, and the comparison of two measurements.

This module does not depend on how a measurement is taken: a subscriber or an auditor can compare
measurements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping  # noqa: TC003 - snapshots are read by the annotations
from dataclasses import dataclass, field, replace

from sealward.characters import escaped
from sealward.events.comparison.files import Listing, changed

CONFIG = "config"
LIVE = "live"
FILES = "files"
"""The section that is measured from the content of files, which the XML does not have."""

COMPANIONS = "companions"
"""The form of differences in files that the section `files` does not cover."""

STARTED = "started"
"""The form of the values that a start has completed a definition with."""
REDEFINED = "redefined"
"""The form of these values in a definition that was made of a running form: they must be those of a start."""

BEING_MEASURED = "files-being-measured"
"""Why a file could not be compared that takes long to read."""

LIBVIRT_DOMAIN = "libvirt-domain/3"
"""The profile in force: the rules of `node_agent.profile`, by name and version."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Sections and their digests of one server under one profile.

    `sections` holds every section of the profile, also empty sections: SHA-256 hex of the persistent form.
    `live` holds only those sections of the running form whose digest differs from `sections`; it is empty
    when the server is shut off or in step. The section `cpu` never appears there, because libvirt replaces
    it by what the node's processor offers (libvirt 9.0, observed). `hypervisor` reads like "libvirt 9.0.0"
    and is empty when the XML came from a file.

    `host_bound` has the digest of the parts that a move to another node rewrites: of the persistent form and,
    where it differs, of the running one. `events.comparison.binding` says when it may change.

    `files` lists each file, by form: the files of the persistent form, and the files of the running form if
    `live` has a section `files`. The section's digest covers all files together; the list is needed when some
    files could not be read. The list is empty for a server whose node measures no files.

    `companions` lists the companions of the persistent form: further files that decide what runs. Each is
    judged by itself, and no digest of a section covers them. It is None in measurements of an agent that did
    not look for companions, or that measures no files.

    `taints` names the taints that libvirt reports of a running server; it is empty for a server without
    taints or one that is off, and None in measurements of an agent that did not ask for taints. `jobs`
    describes the running block jobs, which are no difference. `named` has the digests of networks, pools and
    the like that the domain names, by KIND/NAME (`events.comparison.named`); it is None in measurements of an
    agent that did not ask for them.

    `doors` names the doors in host-bound parts, in either form. `hidden_doors` names the doors in parts that
    the profile leaves out as noise. Each is None in measurements of an agent that did not look for these
    doors.
    """

    profile: str
    sections: Mapping[str, str]
    live: Mapping[str, str]
    hypervisor: str
    host_bound: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Listing] = field(default_factory=dict)
    doors: tuple[str, ...] | None = None
    hidden_doors: tuple[str, ...] | None = None
    companions: Listing | None = None
    taints: tuple[str, ...] | None = None
    jobs: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    """The sections of a reference that cannot be measured under this profile from its evidence alone."""
    named: Mapping[str, str] | None = None

    @property
    def unread(self) -> tuple[str, ...]:
        """Return why files could not be compared: the codes of the reasons, each once, the weightiest first.

        That a file is still being measured weighs least: it passes by itself.
        """
        listings = (*self.files.values(), *(() if self.companions is None else (self.companions,)))
        codes = {code for listing in listings for code in listing.unread.values()}
        return tuple(sorted(codes, key=lambda code: (code == BEING_MEASURED, code)))

    def beside(self, reference: Measurement | None) -> Measurement:
        """Return the measurement to compare with a reference: without companions if that lists none."""
        is_compared = self.companions is None or reference is None or reference.companions is not None
        return self if is_compared else replace(self, companions=None)

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex of the whole measurement, without files that could not be read.

        It covers both forms, the host-bound parts, the doors, the companions and the taints. Findings show
        less: they are masked, cut and limited in number. Two findings that read alike can have two
        fingerprints. The version of libvirt is not part of the fingerprint, because an upgrade of libvirt by
        itself does not change a server.
        """
        import msgspec  # noqa: PLC0415 - see `manifest`

        said = (
            self.profile,
            dict(self.sections),
            dict(self.live),
            dict(self.host_bound),
            self.doors,
            self.hidden_doors,
            None if self.companions is None else dict(self.companions.read),
            *(self.taints or ()),
            *sorted((self.named or {}).items()),
        )
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()

    @property
    def manifest(self) -> bytes:
        """Canonical JSON of profile and sections: the subject of the signed statement.

        The running form is not in it: a reference stands for how the server starts, wherever it runs.
        """
        import msgspec  # noqa: PLC0415 - the start gate in a hurry only compares, and need not load it

        return msgspec.json.encode({"profile": self.profile, "sections": dict(self.sections)}, order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 hex of the manifest."""
        return hashlib.sha256(self.manifest).hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference: its place, the signed value and the found value.

    A value of None means absent on that side. `form` tells which XML shows the difference: "config"
    (persistent), "live", or "started" for a value that a start decided. `code` is the code in the registry of
    findings (`events.findings.code`); it is None until the control plane has given it. The code follows from
    the rest of the finding, so comparisons of findings leave it out.
    """

    section: str
    xpath: str
    signed: str | None
    found: str | None
    form: str = CONFIG
    code: str | None = field(default=None, compare=False)

    def printable(self) -> Finding:
        """Return the same without control characters and within the bounds of `values`."""
        return Finding(
            _word(self.section),
            escaped(self.xpath, 8192),
            None if self.signed is None else escaped(self.signed, 4200),
            None if self.found is None else escaped(self.found, 4200),
            _word(self.form),
            None if self.code is None else _word(self.code),
        )

    def __str__(self) -> str:
        """Return the finding as a line of a report, with control characters in values escaped."""
        suffix = " (live)" if self.form == LIVE else ""
        return f"{self.section}: {self.xpath}: {_shown(self.signed)} -> {_shown(self.found)}{suffix}"


def differing(reference: Measurement, found: Measurement) -> tuple[tuple[str, str], ...]:
    """Return the sorted (section, form) pairs of `found` that are proven not to be as `reference` has them.

    A running section is accounted for when it equals the signed persistent section or the running section
    recorded at signing (a device that was hot-plugged before the server was signed). When files could not be
    read, the section `files` differs only if a file that was read differs: an unread file proves no
    difference. A section that the reference leaves undecided proves no difference either. Companions that
    differ are the pair (FILES, COMPANIONS).
    """
    names = reference.sections.keys() | found.sections.keys()
    config = {(name, CONFIG) for name in names if reference.sections.get(name) != found.sections.get(name)}
    live = {
        (name, LIVE)
        for name, digest in found.live.items()
        if digest not in (reference.sections.get(name), reference.live.get(name))
    }
    decided = {pair for pair in config | live if pair[0] not in reference.undecided}
    proven = {pair for pair in decided if pair[0] != FILES or _is_proven(reference, found, pair[1])}
    return tuple(sorted(proven | _companions(reference, found)))


def _is_proven(reference: Measurement, found: Measurement, form: str) -> bool:
    """Tell whether a file of that form that was read differs; the digest of all files says that some may."""
    listing = found.files.get(form)
    if listing is None or not listing.unread:
        return True
    forms = (CONFIG,) if form == CONFIG else (CONFIG, LIVE)
    signed = [reference.files[one] for one in forms if one in reference.files]
    return all(changed(one, listing) for one in signed)


def _companions(reference: Measurement, found: Measurement) -> set[tuple[str, str]]:
    """Return the pair (FILES, COMPANIONS) if companions differ; no pair if a side has no listing of them."""
    if reference.companions is None or found.companions is None:
        return set()
    return {(FILES, COMPANIONS)} if changed(reference.companions, found.companions) else set()


def _word(text: str) -> str:
    """Return visible ASCII, 64 characters at most."""
    return "".join(one if "!" <= one <= "~" else "?" for one in text[:64]) or "?"


def _shown(value: str | None) -> str:
    return "absent" if value is None else repr(value)
