"""One decision of the start gate, from the XML on the hook's stdin and the node's ledger alone.

It calls neither libvirt nor the control plane: while the hook runs, libvirt answers nobody who asks for that
domain (libvirt 9.0, observed).
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealward.events import envelope as envelopes
from sealward.events import statement as statements
from sealward.events.measurement import CONFIG as MEASURED
from sealward.events.measurement import differing
from sealward.events.policy import DEFAULT
from sealward.node_agent import canonical, profile
from sealward.node_agent.findings import findings
from sealward.node_agent.gate import judge
from sealward.node_agent.gate.conclusion import Conclusion, Server, conclude
from sealward.node_agent.gate.dossier import Dossier, LedgerUnreadable, read
from sealward.node_agent.gate.judge import Reason
from sealward.node_agent.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sealward.events.measurement import Finding, Measurement
    from sealward.events.statement import Statement

CONFIG: Final = "config"
"""The form in which libvirt shows the hook a server that starts."""
LIVE: Final = "live"
"""The form of one that is received from another node, or restored."""
FILES: Final = "files"
"""The section that is measured from files, which the XML alone says nothing of."""


class Unverified(Exception):
    """The reference is not what the node measured and the authority countersigned."""


def decide(folder: str, form: str, xml: bytes, now: datetime) -> Conclusion:
    """Decide whether a server may start."""
    try:
        server = identified(xml)
    except canonical.DomainXmlRefused as refused:
        return _on_unreadable(folder, refused)
    try:
        dossier = read(folder, server.server_id or "")
    except LedgerUnreadable:
        return conclude(server, DEFAULT, [(Reason.LEDGER, ())])
    moment = max(now, dossier.last_moment or now)
    return conclude(server, dossier.policy, _doubts(server, dossier, form, xml, moment))


def is_unknown(folder: str, server_id: str) -> bool:
    """Say whether the ledger has no reference of a server."""
    try:
        return read(folder, server_id).entry is None
    except LedgerUnreadable:
        return False


def identified(xml: bytes) -> Server:
    """Return which server it is: by the UUID, for a name can be given to another. Raises DomainXmlRefused."""
    domain = canonical.parse(xml)
    try:
        server_id = str(uuid.UUID(domain.findtext("uuid")))
    except (ValueError, AttributeError, TypeError) as unreadable:
        raise canonical.DomainXmlRefused("it has no UUID") from unreadable
    return Server(server_id, domain.findtext("name") or "")


def _on_unreadable(folder: str, refused: canonical.DomainXmlRefused) -> Conclusion:
    try:
        policy = read(folder, "").policy
    except LedgerUnreadable:
        policy = DEFAULT
    return conclude(Server(None, ""), policy, [(Reason.UNREADABLE, ())], str(refused))


def _doubts(
    server: Server, dossier: Dossier, form: str, xml: bytes, now: datetime
) -> Iterator[tuple[Reason, tuple[Finding, ...]]]:
    if not dossier.is_firmware_intact:
        yield Reason.FIRMWARE, ()
    missing = judge.of_standing(dossier)
    if missing is not None:
        yield missing, ()
        return
    try:
        reference = verified(server, dossier)
    except Unverified:
        yield Reason.UNVERIFIED, ()
        return
    try:
        yield from _differences(reference, dossier, form, xml)
    except canonical.DomainXmlRefused:
        yield Reason.UNREADABLE, ()
    if judge.is_stale(dossier, now):
        yield Reason.STALE, ()


def _differences(
    reference: Statement, dossier: Dossier, form: str, xml: bytes
) -> Iterator[tuple[Reason, tuple[Finding, ...]]]:
    """Yield what differs, if anything does. Raises DomainXmlRefused."""
    signed = reference.measurement
    found = measure(xml, None, dossier.hypervisor)
    comparable = _as_form(form, signed, found.measurement)
    reason = judge.of_difference(signed, comparable)
    if reason is None:
        return
    sections = {section for section, _ in differing(signed, comparable)}
    pairs = [(section, MEASURED) for section in sorted(sections)]
    explained = findings(reference.evidence, found.evidence(), pairs)
    yield reason, tuple(replace(one, form=form) for one in explained)


def _as_form(form: str, signed: Measurement, found: Measurement) -> Measurement:
    """Return a measurement of the XML as one of that form: sections of a running server may be as recorded.

    Those that libvirt expands for the node are not compared then, as in every look at a running server.
    """
    sections = dict(found.sections) | {
        name: signed.sections[name] for name in (FILES,) if name in signed.sections
    }
    if form == CONFIG:
        return replace(found, sections=sections)
    live = {
        name: digest
        for name, digest in sections.items()
        if name not in profile.HOST_EXPANDED and digest != signed.sections.get(name)
    }
    return replace(found, sections=signed.sections, live=live)


def verified(server: Server, dossier: Dossier) -> Statement:
    """Return what the reference states, all signatures checked. Raises Unverified."""
    entry = dossier.entry
    if entry is None:
        raise Unverified
    try:
        keys = [Ed25519PublicKey.from_public_bytes(one) for one in dossier.signers]
        envelope = envelopes.parse(entry.envelope)
        stated = statements.parse(envelopes.verify(envelope, keys), envelope.payload_type)
    except ValueError as refused:
        raise Unverified from refused
    if (stated.server_id, stated.sign_id, stated.generation) != (server.server_id, *entry.place):
        raise Unverified
    return stated
