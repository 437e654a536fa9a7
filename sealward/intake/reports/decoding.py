"""Decodes the messages of nodes, and verifies signatures in threads before anything is decided."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events import values
from sealward.events.cause import Cause
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.signing.keys import KeyRefused, public_key
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.events.bus.message import Delivered
    from sealward.events.signing.envelope import Envelope
    from sealward.events.signing.statement import Statement

THREADS: Final = 2
"""Threads that verify signatures: `cryptography` (50) releases the interpreter's lock meanwhile."""
MANY: Final = 16
"""With fewer signatures than this, handing them to threads costs more than it gains."""


class Signed(msgspec.Struct):
    """An envelope, and the key (PEM) that is known to have signed it: `by` is None until it is verified."""

    envelope: Envelope
    by: str | None = None

    def prove(self, pem: str) -> None:
        """Verify that the key (PEM) has signed the envelope. Raises NotVerified, KeyRefused."""
        if self.by != pem:
            envelopes.verify(self.envelope, [public_key(pem)])
            self.by = pem


class Measured(msgspec.Struct, frozen=True):
    """The envelope in a report of a measurement, and the statement in that envelope."""

    signed: Signed
    statement: Statement


class Part(msgspec.Struct, frozen=True):
    """A report of a message, or the error that decoding it raised.

    `measured` is the content of a measurement, or the error that decoding the content raised; None for other
    reports.
    """

    report: reports.AnyReport | codec.ReportMalformed
    measured: Measured | Exception | None = None


class DecodedMessage(msgspec.Struct, frozen=True):
    """A decoded message of a node: the content of its envelope, `said`, and the reports in it, `parts`.

    `sender` is the broker's user who published the message, `inbox` the user whose inbox it came by, and
    `redelivered` whether the broker has delivered it before. `size` is in bytes.
    """

    said: reports.AnyReport | reports.Bundle | codec.Unread
    signed: Signed
    parts: Sequence[Part]
    sender: str | None = None
    redelivered: bool = False
    inbox: str | None = None
    size: int = 0

    def claims(self, pem: str) -> list[tuple[Signed, str]]:
        """Return the signatures that the whole message rests on, each as an envelope and the key."""
        sealed = [
            one.measured.signed
            for one in self.parts
            if isinstance(one.report, reports.Measurement)
            and one.report.cause == Cause.SEALED
            and isinstance(one.measured, Measured)
        ]
        return [(one, pem) for one in (self.signed, *sealed)]


def read(message: Delivered) -> DecodedMessage:
    """Decode a message. Of a message that holds no report, the hostname and the error are returned.

    Raises EnvelopeRefused, and ReportMalformed where even the hostname cannot be read.
    """
    if len(message.body) > 2 * codec.MOST_BYTES:
        raise codec.ReportMalformed(f"more than {2 * codec.MOST_BYTES} bytes")
    envelope = envelopes.parse(message.body)
    said: reports.AnyReport | reports.Bundle | codec.Unread
    try:
        said = codec.parse(envelope)
        parts = [_part(one) for one in codec.unbundle(said)]
    except codec.ReportMalformed as malformed:
        said, parts = codec.unread(envelope), [Part(malformed)]
    return DecodedMessage(
        said,
        Signed(envelope),
        parts,
        message.sender,
        message.redelivered,
        message.inbox,
        len(message.body),
    )


class Prover:
    """Verifies many signatures at once. A signature that fails is refused when its message is decided."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "verify")

    def prove(self, claims: Sequence[tuple[Signed, str]]) -> None:
        """Verify signatures, each an envelope and a key, in threads; do nothing if there are few."""
        if len(claims) >= MANY:
            list(self._pool.map(_prove, [claims[number::THREADS] for number in range(THREADS)]))


def _prove(claims: Sequence[tuple[Signed, str]]) -> None:
    for signed, pem in claims:
        with contextlib.suppress(envelopes.NotVerified, KeyRefused):
            signed.prove(pem)


_CHECK_KEYID: Final = values.checker(values.KeyId)


def _part(report: reports.AnyReport | codec.ReportMalformed) -> Part:
    if not isinstance(report, reports.Measurement):
        return Part(report)
    try:
        envelope = envelopes.parse(report.envelope)
        statement = statements.parse(envelope.payload, envelope.payload_type)
        values.check(statement)
        for one in envelope.signatures:
            _CHECK_KEYID(one.keyid)
    except (envelopes.EnvelopeRefused, statements.StatementRefused) as refused:
        return Part(report, refused)
    except values.Unfit as unfit:
        return Part(report, statements.StatementRefused(str(unfit)))
    return Part(report, Measured(Signed(envelope), statement))
