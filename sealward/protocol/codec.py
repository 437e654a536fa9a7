"""The wire form of reports: JSON in a DSSE envelope that the node's key has signed.

One envelope holds one report, or a bundle of reports. The signature proves which node reports: access to the
queue alone does not suffice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sealward.characters import escaped
from sealward.error import SealwardError
from sealward.events import typed, values
from sealward.events.signing import envelope as envelopes
from sealward.events.values import Hostname  # noqa: TC001 - the wire form is read off the annotations
from sealward.protocol.reports import (
    MOST_FINDINGS,
    AnyReport,
    Bundle,
    Measurement,
    Number,
    Objection,
    Reaction,
    Told,
)
from sealward.protocol.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.comparison.measurement import Finding

PAYLOAD_TYPE = "application/vnd.sealward.report+json"
MOST_BYTES: Final = 4 * 1024 * 1024
"""The greatest size of a payload in bytes: twice the size of an inventory with `MOST_SERVERS` servers."""
Read = TypeVar("Read")


class ReportMalformed(SealwardError, ValueError):
    """The message is not a report that this version of Sealward knows."""

    code = "report.malformed"


class ReportOfAnotherNode(ReportMalformed):
    """The report names another node than the bundle that contains the report."""

    code = "report.wrong-node"


class Unread(msgspec.Struct, frozen=True):
    """The hostname and the turn of a payload that is otherwise no report that this version knows."""

    hostname: Hostname
    boot: Number = 0
    seq: Number = 0


def encode(report: AnyReport) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.encode(report)


def together(hostname: str, encoded: Sequence[bytes]) -> Bundle:
    """Return a bundle of up to `MOST` reports of a node; `encoded` are the results of `encode`."""
    return Bundle(hostname=hostname, reports=tuple(msgspec.Raw(one) for one in encoded))


def numbered(said: AnyReport | Bundle, turn: Turn) -> AnyReport | Bundle:
    """Return a report or bundle with the number of its envelope."""
    return msgspec.structs.replace(said, boot=turn.boot, seq=turn.seq)


def turn_of(said: AnyReport | Bundle | Unread) -> Turn:
    """Return the number of a report's envelope; (0, 0), which never counts as new, if the report has none."""
    return Turn(said.boot, said.seq)


def seal(said: AnyReport | Bundle, *keys: Ed25519PrivateKey) -> bytes:
    """Return the bytes of a DSSE envelope with the report or bundle, signed with each of the `keys`."""
    envelope = envelopes.Envelope(msgspec.json.encode(said), PAYLOAD_TYPE)
    for key in keys:
        envelope = envelopes.sign(envelope, key)
    return msgspec.json.encode(envelope.to_json())


def parse(envelope: envelopes.Envelope) -> AnyReport | Bundle:
    """Return the report or bundle that an envelope holds, without verifying a signature.

    Raises ReportMalformed.
    """
    if len(envelope.payload) > MOST_BYTES:
        raise ReportMalformed(f"more than {MOST_BYTES} bytes")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ReportMalformed(f"payload type {envelope.payload_type!r}")
    return _decoded(_ENVELOPED, envelope.payload)


def unread(envelope: envelopes.Envelope) -> Unread:
    """Return the hostname and the turn in an envelope whose payload `parse` has refused.

    Raises ReportMalformed when the payload has no readable hostname or turn.
    """
    return _decoded(_UNREAD, envelope.payload)


def unbundle(said: AnyReport | Bundle) -> Sequence[AnyReport | ReportMalformed]:
    """Return the reports of a bundle in order, with an exception in place of each malformed report.

    A single report is returned as a sequence with that report.
    """
    return [_part(said.hostname, one) for one in said.reports] if isinstance(said, Bundle) else [said]


def _part(hostname: str, text: msgspec.Raw) -> AnyReport | ReportMalformed:
    try:
        report = _decoded(_PART, text)
    except ReportMalformed as malformed:
        return malformed
    if report.hostname != hostname:
        return ReportOfAnotherNode(ReportOfAnotherNode.__doc__)
    return report


def _decoded(decoder: typed.Decoder[Read], text: bytes | msgspec.Raw) -> Read:
    try:
        return _fit(decoder.decode(text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, values.Unfit) as unreadable:
        raise ReportMalformed(str(unreadable)) from unreadable


def _fit(read: Read) -> Read:
    """Return a report after checking its values against their types. Raises Unfit.

    Findings and names only explain a violation or a start. Where they are unfit, they are escaped and
    shortened, so that the violation or the start is recorded all the same.
    """
    try:
        values.check(read)
    except values.Unfit:
        if not isinstance(read, Measurement | Objection | Reaction):
            raise
        read = msgspec.structs.replace(read, **_printable(read))
        values.check(read)
    return read


def _printable(report: Measurement | Objection | Reaction) -> dict[str, object]:
    """Return the explaining fields of a report, escaped and shortened to their bounds."""
    match report:
        case Measurement():
            return {"findings": _cut(report.findings), "host_bound": _cut(report.host_bound)}
        case Objection():
            return {"findings": _cut(report.findings), "instance_name": escaped(report.instance_name, 255)}
        case Reaction():
            return {"reason": None if report.reason is None else escaped(report.reason, 1024)}


def _cut(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(one.printable() for one in findings[:MOST_FINDINGS])


_ENVELOPED: Final[typed.Decoder[AnyReport | Bundle]] = typed.decoder(AnyReport | Bundle)
_UNREAD: Final = typed.decoder(Unread)
_PART: Final[typed.Decoder[Told]] = typed.decoder(Told)
