"""in-toto Statement v1 about a measurement. The node signs the statement, the authority countersigns it.

https://github.com/in-toto/attestation (spec/v1). The subject is the measurement manifest, by digest.
"""

from __future__ import annotations

import base64
import json
import weakref
from collections.abc import Mapping  # noqa: TC003 - the wire form is read off the annotations
from dataclasses import asdict
from datetime import datetime  # noqa: TC003 - the wire form is read off the annotations
from typing import Any, Final

import msgspec

from sealward.error import SealwardError
from sealward.events import typed
from sealward.events.base import Moment  # noqa: TC001 - as above
from sealward.events.comparison.files import Listing  # noqa: TC001 - as above
from sealward.events.comparison.measurement import Measurement
from sealward.events.comparison.remeasured import Remeasured
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.envelope import Envelope
from sealward.events.values import TaskId  # noqa: TC001 - rules and wire form are read off the annotations

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sealward:measurement:v1"


class StatementRefused(SealwardError, ValueError):
    """The payload is no statement about a measurement, or contradicts itself."""

    code = "statement.refused"


class Statement(msgspec.Struct, frozen=True, weakref=True):
    """A node's statement of a measurement: the server, the sign and its generation, the time (aware, UTC).

    `evidence` explains later differences; verdicts do not need it. `task_id` names the order, or the request
    for validation, that the node measured for; it is None when the node measured unasked. No node knows a
    task id before its order is given, so a statement with the task id was made after the order.
    """

    server_id: str
    sign_id: int
    node_id: int
    generation: int
    measured_at: datetime
    measurement: Measurement
    evidence: bytes
    task_id: TaskId | None = None
    remeasured: Remeasured | None = None
    """The reference that was compared with, where it had to be measured anew under the node's profile."""

    def envelope(self) -> Envelope:
        """Return the unsigned envelope of this statement."""
        text = json.dumps(self._fields(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return Envelope(text.encode(), PAYLOAD_TYPE)

    def _fields(self) -> dict[str, Any]:
        subject = {"name": f"urn:uuid:{self.server_id}", "digest": {"sha256": self.measurement.digest}}
        predicate = {
            "serverId": self.server_id,
            "signId": self.sign_id,
            "nodeId": self.node_id,
            "generation": self.generation,
            "measuredAt": self.measured_at.isoformat(),
            "profile": self.measurement.profile,
            "sections": dict(self.measurement.sections),
            "live": dict(self.measurement.live),
            "hypervisor": self.measurement.hypervisor,
            "hostBound": dict(self.measurement.host_bound),
            "evidence": base64.b64encode(self.evidence).decode("ascii"),
        }
        if self.measurement.files:
            predicate["files"] = {form: asdict(listing) for form, listing in self.measurement.files.items()}
        if self.measurement.doors is not None:
            predicate["doors"] = list(self.measurement.doors)
        if self.measurement.hidden_doors is not None:
            predicate["hiddenDoors"] = list(self.measurement.hidden_doors)
        if self.measurement.companions is not None:
            predicate["companions"] = asdict(self.measurement.companions)
        if self.measurement.taints is not None:
            predicate["taints"] = list(self.measurement.taints)
        if self.measurement.named:
            predicate["named"] = dict(self.measurement.named)
        if self.measurement.jobs:
            predicate["jobs"] = list(self.measurement.jobs)
        if self.task_id is not None:
            predicate["taskId"] = self.task_id
        if self.remeasured is not None:
            predicate["remeasured"] = _remeasured_fields(self.remeasured)
        return {
            "_type": STATEMENT_TYPE,
            "subject": [subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }


def _remeasured_fields(remeasured: Remeasured) -> dict[str, Any]:
    return {
        "origin": remeasured.origin,
        "profile": remeasured.profile,
        "sections": dict(remeasured.sections),
        "live": dict(remeasured.live),
        "hostBound": dict(remeasured.host_bound),
        "undecided": list(remeasured.undecided),
    }


_HELD: Final[weakref.WeakValueDictionary[tuple[object, object], Statement]] = weakref.WeakValueDictionary()
"""The statements of seals that are still referenced elsewhere in the process, by the payload of the seal's
envelope, in base64, and its type."""


def sealed(statement: Statement, envelope: Envelope) -> dict[str, object]:
    """Return the JSON object of the envelope of a statement, and hold the statement for `of_seal`."""
    fields = envelope.to_json()
    _HELD[fields["payload"], fields["payloadType"]] = statement
    return fields


def of_seal(fields: Mapping[str, object]) -> Statement:
    """Return the statement in the JSON object of a seal's envelope, whose signatures were verified before.

    A seal is folded a moment after it was decided, while its statement is still referenced. Then the envelope
    is not read again. Raises EnvelopeRefused, StatementRefused.
    """
    payload, payload_type = fields.get("payload"), fields.get("payloadType")
    known = _HELD.get((payload, payload_type)) if isinstance(payload, str) else None
    if known is not None:
        return known
    envelope = envelopes.parse(fields)
    return parse(envelope.payload, envelope.payload_type)


def parse(payload: bytes, payload_type: str) -> Statement:
    """Return the statement in a **verified** payload. The caller has verified the signatures.

    Raises StatementRefused, also when the subject's digest is not the digest of the measurement.
    """
    try:
        fields = typed.decode(payload, _Fields)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as unreadable:
        raise StatementRefused(f"not readable: {unreadable}") from unreadable
    if (payload_type, fields.type_, fields.predicate_type) != (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE):
        raise StatementRefused("not a statement about a measurement")
    statement = fields.predicate.statement()
    (subject,) = fields.subject
    if subject.digest.sha256 != statement.measurement.digest:
        raise StatementRefused("the subject's digest is not that of the sections")
    return statement


class _Digest(msgspec.Struct, frozen=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True):
    digest: _Digest


class _Remeasured(msgspec.Struct, frozen=True, rename="camel"):
    origin: str
    profile: str
    sections: dict[str, str]
    live: dict[str, str] = msgspec.field(default_factory=dict)
    host_bound: dict[str, str] = msgspec.field(default_factory=dict)
    undecided: tuple[str, ...] = ()

    def known(self) -> Remeasured:
        return Remeasured(
            self.origin, self.profile, self.sections, self.live, self.host_bound, self.undecided
        )


class _Predicate(msgspec.Struct, frozen=True, rename="camel"):
    """The predicate of the statement, as in JSON; `evidence` in base64."""

    server_id: str
    sign_id: int
    node_id: int
    generation: int
    measured_at: Moment
    profile: str
    sections: dict[str, str]
    live: dict[str, str]
    hypervisor: str
    evidence: bytes
    host_bound: dict[str, str] = msgspec.field(default_factory=dict)  # libvirt-domain/1 had none
    files: dict[str, Listing] = msgspec.field(default_factory=dict)  # statements of before list none
    doors: tuple[str, ...] | None = None  # as above
    hidden_doors: tuple[str, ...] | None = None  # as above
    companions: Listing | None = None  # as above
    taints: tuple[str, ...] | None = None  # as above
    jobs: tuple[str, ...] = ()  # as above
    named: dict[str, str] | None = None  # as above
    task_id: str | None = None  # as above
    remeasured: _Remeasured | None = None  # as above

    def statement(self) -> Statement:
        return Statement(
            self.server_id,
            self.sign_id,
            self.node_id,
            self.generation,
            self.measured_at,
            Measurement(
                self.profile,
                self.sections,
                self.live,
                self.hypervisor,
                self.host_bound,
                self.files,
                self.doors,
                self.hidden_doors,
                self.companions,
                self.taints,
                self.jobs,
                named=self.named,
            ),
            self.evidence,
            self.task_id,
            None if self.remeasured is None else self.remeasured.known(),
        )


class _Fields(msgspec.Struct, frozen=True, rename={"type_": "_type", "predicate_type": "predicateType"}):
    """A statement as in-toto has it in JSON."""

    type_: str
    predicate_type: str
    subject: tuple[_Subject]
    predicate: _Predicate
