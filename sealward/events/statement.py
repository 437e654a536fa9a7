"""in-toto Statement v1 about a measurement: what a node signs and the authority countersigns.

https://github.com/in-toto/attestation (spec/v1). The subject is the measurement manifest, by digest.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from sealward.events.envelope import Envelope
from sealward.events.measurement import Measurement

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sealward:measurement:v1"


class StatementRefused(ValueError):
    """The payload is no statement about a measurement, or contradicts itself."""

    code = "statement.refused"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a node says it measured: which server, for which generation of which sign, when (aware, UTC).

    `evidence` explains a later difference; it is not needed to judge one.
    """

    server_id: str
    sign_id: int
    node_id: int
    generation: int
    measured_at: datetime
    measurement: Measurement
    evidence: bytes

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
        return {
            "_type": STATEMENT_TYPE,
            "subject": [subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }


def parse(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> Statement:
    """Return the statement that a **verified** payload holds; whose signature it bears is not looked at here.

    Raises StatementRefused, also when the subject's digest is not that of the sections.
    """
    try:
        fields = msgspec.json.decode(payload)
        kind = (payload_type, fields["_type"], fields["predicateType"])
        statement = _statement(fields["predicate"])
        (subject,) = fields["subject"]
        digest = subject["digest"]["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as unreadable:
        raise StatementRefused(f"not readable: {unreadable!r}") from unreadable
    if kind != (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE):
        raise StatementRefused("not a statement about a measurement")
    if digest != statement.measurement.digest:
        raise StatementRefused("the subject's digest is not that of the sections")
    return statement


def _statement(predicate: dict[str, Any]) -> Statement:
    measured_at = datetime.fromisoformat(predicate["measuredAt"])
    if measured_at.tzinfo is None:
        raise StatementRefused("measuredAt has no time zone")
    measurement = Measurement(
        str(predicate["profile"]),
        _digests(predicate["sections"]),
        _digests(predicate["live"]),
        str(predicate["hypervisor"]),
        _digests(predicate.get("hostBound", {})),  # libvirt-domain/1 had none
    )
    return Statement(
        str(predicate["serverId"]),
        int(predicate["signId"]),
        int(predicate["nodeId"]),
        int(predicate["generation"]),
        measured_at,
        measurement,
        base64.b64decode(predicate["evidence"], validate=True),
    )


def _digests(value: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(digest) for name, digest in value.items()}
