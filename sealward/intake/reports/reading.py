"""What nodes said, read and verified as far as that can be done before anything is decided."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events import values
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
"""Threads that verify: `cryptography` (50) lets go of the interpreter's lock meanwhile."""
MANY: Final = 16
"""Signatures that are worth handing to threads."""
SEALED: Final = "sealed"
"""The cause of a measurement that is to be a reference: its own signature will be needed."""


@dataclass(slots=True)
class Signed:
    """An envelope; `by` is the key (PEM) that has signed it, as far as that is known."""

    envelope: Envelope
    by: str | None = None

    def prove(self, pem: str) -> None:
        """Make sure that the key has signed. Raises NotVerified, KeyRefused."""
        if self.by != pem:
            envelopes.verify(self.envelope, [public_key(pem)])
            self.by = pem


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement holds."""

    signed: Signed
    statement: Statement


@dataclass(frozen=True, slots=True)
class Part:
    """A report, or why it is none; of a measurement what it holds, or why that cannot be read."""

    report: reports.AnyReport | codec.ReportMalformed
    measured: Measured | Exception | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a node said in one envelope; `parts` are its reports.

    `sender`, `redelivered` and `inbox` are what the broker says of the message that brought it; `size` is its
    size in bytes.
    """

    said: reports.AnyReport | reports.Bundle | codec.Unread
    signed: Signed
    parts: Sequence[Part]
    sender: str | None = None
    redelivered: bool = False
    inbox: str | None = None
    size: int = 0

    def claims(self, pem: str) -> list[tuple[Signed, str]]:
        """Return what the node's key must have signed for all of this to count."""
        sealed = [
            one.measured.signed
            for one in self.parts
            if isinstance(one.report, reports.Measurement)
            and one.report.cause == SEALED
            and isinstance(one.measured, Measured)
        ]
        return [(one, pem) for one in (self.signed, *sealed)]


def read(message: Delivered) -> Said:
    """Return what a message says; of one that is no report, in whose name it speaks and why it is none.

    Raises EnvelopeRefused, and ReportMalformed where it speaks in nobody's name.
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
    return Said(
        said,
        Signed(envelope),
        parts,
        message.sender,
        message.redelivered,
        message.inbox,
        len(message.body),
    )


class Prover:
    """Verifies many signatures at once. What does not verify is left to who decides: that one says why."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "verify")

    def prove(self, claims: Sequence[tuple[Signed, str]]) -> None:
        """Prove claims, if there are many."""
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
