"""The decision of the start gate, from the domain XML and the node's ledger alone.

It calls neither libvirt nor the control plane. While the hook runs, libvirt answers no question about that
domain (libvirt 9.0, observed).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.comparison.binding import lost, unexplained
from sealward.events.comparison.devices import DEVICE, LOST, PREFIX
from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import COMPANIONS, FILES, Finding, differing
from sealward.events.comparison.measurement import CONFIG as MEASURED
from sealward.events.comparison.taint import TAINT
from sealward.events.findings.marks import NOT_COMPARED
from sealward.events.policy import OnDoubt
from sealward.node_agent.gate import fallback
from sealward.node_agent.gate.decision import judge
from sealward.node_agent.gate.decision.conclusion import Conclusion, Server, conclude
from sealward.node_agent.gate.decision.dossier import Dossier, LedgerUnreadable, owners, read
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.gate.decision.reference import Unverified, verified
from sealward.node_agent.gate.decision.unread import conclude_unread
from sealward.node_agent.ledger.saved_images import EXCHANGED
from sealward.node_agent.measuring import belongings, canonical, profile
from sealward.node_agent.measuring.findings import findings, host_bound_findings, is_of_unread
from sealward.node_agent.measuring.measure import Measured, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from lxml import etree

    from sealward.events.comparison.measurement import Measurement
    from sealward.node_agent.gate.decision.dossier import Owner
    from sealward.node_agent.gate.decision.reference import Reference
    from sealward.node_agent.gate.stamps import Stamps

CONFIG: Final = "config"
"""The form in which libvirt gives the hook a server that starts."""
LIVE: Final = "live"
"""The form in which libvirt gives the hook a server that it receives from another node, or restores."""
UUID_BYTES: Final = 16


class _Start(NamedTuple):
    """A server that is to start: its parsed domain in one form, on the node whose ledger is in the folder."""

    folder: str
    form: str
    domain: etree._Element
    server_id: str
    is_answered: bool
    stamps: list[Stamps]
    """The stamps of the server's files; empty until the files were measured."""

    @property
    def server(self) -> Server:
        """Return the server's id and its name in libvirt."""
        return Server(self.server_id, self.domain.findtext("name") or "")


def decide(
    folder: str, form: str, xml: bytes, now: datetime, *, is_answered: Callable[[str], bool]
) -> Conclusion:
    """Decide whether a server may start. The XML is parsed here, once.

    `folder` holds the node's ledger; `form` is CONFIG or LIVE. `is_answered` is called with the server's id
    before the ledger is read. It returns whether the control plane has answered for that server, and has then
    put the server's reference, if there is one, into the ledger: a server that is not in the ledger is
    unsigned if `is_answered` returned True, and unknown if it returned False.
    """
    try:
        domain = canonical.parse(xml)
        server_id = _server_id(domain)
    except canonical.DomainXmlRefused as refused:
        return _on_unreadable(folder, xml, refused)
    start = _Start(folder, form, domain, server_id, is_answered(server_id), [])
    try:
        dossier = read(folder, server_id)
    except LedgerUnreadable:
        return conclude_unread(folder, start.server)
    if dossier.entry is None and dossier.seen is None:
        return _of_unsigned(start, dossier)
    return _of_signed(start, dossier, max(now, dossier.last_moment or now))


def _server_id(domain: etree._Element) -> str:
    """Return the UUID of a parsed domain in its usual form. Raises DomainXmlRefused where there is none."""
    try:
        digits = bytes.fromhex(domain.findtext("uuid", "").replace("-", "")).hex()
    except ValueError as unreadable:
        raise canonical.DomainXmlRefused("it has no UUID") from unreadable
    if len(digits) != 2 * UUID_BYTES:
        raise canonical.DomainXmlRefused("it has no UUID")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _of_signed(start: _Start, dossier: Dossier, now: datetime) -> Conclusion:
    """Decide about a server that is or was signed; a server that may start gets the record of its files."""
    conclusion = conclude(start.server, dossier.policy, _doubts(start, dossier, now))
    if not conclusion.allowed:
        return conclusion
    refuses = dossier.policy.on_start is OnDoubt.REFUSE
    record = "".join(one.record(start.server_id, refuses=refuses) for one in start.stamps)
    return conclusion._replace(record=record)


def _on_unreadable(folder: str, xml: bytes, refused: canonical.DomainXmlRefused) -> Conclusion:
    """Return the conclusion on XML that cannot be measured, by the policy of the server named in the XML."""
    server, detail = Server(fallback.server_id(xml).decode() or None, ""), str(refused)
    try:
        policy = read(folder, server.server_id or "").policy
    except LedgerUnreadable:
        return conclude_unread(folder, server, Reason.UNREADABLE, detail)
    return conclude(server, policy, [(Reason.UNREADABLE, ())], detail)


def _of_unsigned(start: _Start, dossier: Dossier) -> Conclusion:
    """Decide about a server that is unsigned, or unknown because of a missing answer (rules 4, 9, 12)."""
    doubts: list[tuple[Reason, tuple[Finding, ...]]] = []
    if not dossier.is_firmware_intact:
        doubts.append((Reason.FIRMWARE, ()))
    missing = judge.of_standing(dossier, is_answered=start.is_answered)
    if missing is not None:
        doubts.append((missing, ()))
    policy = dossier.policy
    found = owners(start.folder, belongings.places(belongings.had_by(start.domain)))
    if found:
        refuses = any(one.on_start is OnDoubt.REFUSE for one in found)
        policy = replace(policy, on_start=OnDoubt.REFUSE if refuses else OnDoubt.OBSERVE)
        doubts.append((Reason.PLACE, tuple(map(_owned, found))))
    return conclude(start.server, policy, doubts)


def _owned(owner: Owner) -> Finding:
    """Return a finding that names a signed server, and the belonging of it that another server has."""
    section = "identity" if owner.belonging.startswith("name ") else "disks"
    return Finding(section, "/domain", f"of {owner.server_id}", owner.belonging).printable()


def _doubts(start: _Start, dossier: Dossier, now: datetime) -> Iterator[tuple[Reason, tuple[Finding, ...]]]:
    if not dossier.is_firmware_intact:
        yield Reason.FIRMWARE, ()
    missing = judge.of_standing(dossier, is_answered=start.is_answered)
    if missing is not None:
        yield missing, ()
        return
    try:
        reference = verified(start.server_id, dossier)
    except Unverified:
        yield Reason.UNVERIFIED, ()
        return
    try:
        found = _with_devices(start, reference.measurement, _measured(start, dossier, reference.measurement))
        yield from _differences(reference, start.form, found, dossier)
        yield from _exchanged_memory(start, dossier)
    except canonical.DomainXmlRefused:
        yield Reason.UNREADABLE, ()
    if judge.is_stale(dossier, now):
        yield Reason.STALE, ()


def _exchanged_memory(start: _Start, dossier: Dossier) -> Iterator[tuple[Reason, tuple[Finding, ...]]]:
    """Yield a doubt where libvirt restores a server from memory that is not the memory that libvirt saved."""
    image = dossier.saved_image
    if start.form == LIVE and image is not None and image.is_exchanged:
        yield Reason.DIFFERS, (Finding(TAINT, "/domain", None, EXCHANGED, LIVE),)


def _measured(start: _Start, dossier: Dossier, signed: Measurement) -> Measured:
    """Measure a server, with its files if it was signed with files. Raises DomainXmlRefused."""
    if MEASURED not in signed.files:
        return measure(start.domain, None, dossier.hypervisor)
    from sealward.node_agent.gate.decision import with_files  # noqa: PLC0415 - a start without files need not load it

    measured, stamps = with_files.measured(start.folder, start.domain, dossier.hypervisor)
    start.stamps.append(stamps)
    return measured.beside(signed)


def _with_devices(start: _Start, signed: Measurement, found: Measured) -> Measured:
    """Add the identities of the devices, where the server was signed with any. Raises DomainXmlRefused."""
    if not any(name.startswith(PREFIX) for name in signed.named or ()):
        return found
    from sealward.node_agent.devices import given  # noqa: PLC0415 - a start without devices need not load it
    from sealward.node_agent.devices.sysfs import Sysfs  # noqa: PLC0415 - as above

    return found.told_named(given.facts(Sysfs(), start.domain))


def _differences(
    reference: Reference, form: str, found: Measured, dossier: Dossier
) -> Iterator[tuple[Reason, tuple[Finding, ...]]]:
    """Yield a doubt for differences, and a doubt for files that could not be compared, if there are any."""
    signed, binding = reference.measurement, dossier.binding
    stays = binding is not None and not binding.is_open
    comparable = _as_form(form, reference, found, dossier.expanded if stays else frozenset())
    differences = differing(signed, comparable)
    changed = {section for section, _ in differences}
    bound = () if binding is None else unexplained(signed, binding, comparable)
    unknown = () if binding is None else lost(signed, binding, comparable)
    if not (changed or bound or unknown or comparable.unread or signed.undecided):
        return
    pairs = _shown_pairs(differences, comparable)
    explained = [replace(one, form=form) for one in findings(reference.evidence, found.evidence(), pairs)]
    shown = tuple(one for one in explained if one.section in changed)
    if bound:
        shown += _bound(reference, found, bound, form, is_alone=not changed)
    reason = judge.of_difference(signed, comparable, shown, binding)
    if reason is not None:
        yield reason, shown
    if comparable.unread or unknown:
        unread = (one for one in explained if is_of_unread(one))
        yield Reason.NOT_COMPARED, (*unread, *(_not_compared(name, signed, form) for name in unknown))


def _not_compared(name: str, signed: Measurement, form: str) -> Finding:
    """Return a finding about a device whose signed identity could not be read."""
    known = (signed.named or {}).get(name)
    return Finding(DEVICE, f"/{name}", known, f"{NOT_COMPARED}{LOST}", form).printable()


def _shown_pairs(differences: Iterable[tuple[str, str]], found: Measurement) -> list[tuple[str, str]]:
    """Return the (section, form) pairs for the findings: sections that differ, and files that were not read.

    A server that is to start has one form, so a section that differs in both forms is one pair.
    """
    pairs = {(section, COMPANIONS if form == COMPANIONS else MEASURED) for section, form in differences}
    if any(listing.unread for listing in found.files.values()):
        pairs.add((FILES, MEASURED))
    if found.companions is not None and found.companions.unread:
        pairs.add((FILES, COMPANIONS))
    return sorted(pairs)


def _as_form(form: str, reference: Reference, found: Measured, expanded: frozenset[str]) -> Measurement:
    """Return a measurement of the XML, of either form, that can be compared with the signed measurement.

    Sections that libvirt expands for the node (`profile.HOST_EXPANDED`) must be as they were `expanded` on
    this node before, where that is known; a server that is received ran on another node. A change that
    libvirt's start explains is no difference.
    """
    signed, seen = reference.measurement, found.measurement
    if form == CONFIG:
        return found.beside(signed, reference.evidence, expanded).measurement
    is_other = differing(signed, seen) or _is_rebound(signed, seen)
    before = found.before_start(reference.evidence) if is_other else seen
    skipped = frozenset() if expanded else profile.HOST_EXPANDED
    skipped |= frozenset() if MEASURED in signed.files else {FILES}
    live = {
        name: digest
        for name, digest in before.sections.items()
        if name not in skipped
        and signed.sections.get(name) not in {digest, seen.sections[name]}
        and not (name in profile.HOST_EXPANDED and digest in expanded)
    }
    files = {MEASURED: signed.files[MEASURED], LIVE: seen.files[MEASURED]} if FILES in live else {}
    return replace(
        seen,
        sections=signed.sections,
        live=live,
        files=files,
        host_bound=before.host_bound,
        companions=_signed_ones(signed.companions, seen.companions),
    )


def _signed_ones(signed: Listing | None, found: Listing | None) -> Listing | None:
    """Return the signed companions.

    The running form names other companions, which libvirt chose at its start.
    """
    if signed is None or found is None:
        return found
    slots = signed.read.keys() | signed.unread.keys()
    return Listing(
        {slot: one for slot, one in found.read.items() if slot in slots},
        {slot: one for slot, one in found.unread.items() if slot in slots},
    )


def _is_rebound(signed: Measurement, found: Measurement) -> bool:
    return found.host_bound.get(MEASURED) != signed.host_bound.get(MEASURED)


def _bound(
    reference: Reference, found: Measured, bound: tuple[Finding, ...], form: str, *, is_alone: bool
) -> tuple[Finding, ...]:
    """Return the findings about host-bound parts, with their values where nothing else differs."""
    values = host_bound_findings(reference.evidence, found.evidence()) if is_alone else ()
    return tuple(replace(one, form=form) for one in (*values, *bound))
