"""The name and the urgency of each event: one entry for each topic of the log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sealward.formats.severity import Severity

if TYPE_CHECKING:
    from sealward.formats.notice import Notice


class Family(StrEnum):
    """The kind of fact that an event records."""

    FINDING = "finding"
    """Something that a security officer has to look at, or the end of it."""
    ORDER = "order"
    """A call of an administrator that changed something."""
    STATE = "state"
    """A change of a node's configuration."""
    RECORD = "record"
    """Any other fact."""


class Act(StrEnum):
    """What happened to the object of an event, in the words of CADF's taxonomy of actions.

    DSP0262, annex A.3: https://www.dmtf.org/sites/default/files/standards/documents/DSP0262_1.0.0.pdf
    """

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ENABLE = "enable"
    DISABLE = "disable"
    REVOKE = "revoke"
    EVALUATE = "evaluate"
    ALLOW = "allow"
    DENY = "deny"
    STOP = "stop"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Kind:
    """The name of an event for people, its family, its act, and its severity when nothing else decides it."""

    title: str
    family: Family
    act: Act
    severity: Severity = Severity.INFORMATIONAL


_FINDING, _ORDER, _STATE, _RECORD = Family
_INFO, _LOW, _MEDIUM, _HIGH = Severity

KINDS: Final = {
    "instance.appeared": Kind("Server seen on a node", _RECORD, Act.NOTIFY),
    "instance.left": Kind("Server left a node", _RECORD, Act.NOTIFY),
    "node.activated": Kind("Validation switched on", _ORDER, Act.ENABLE),
    "node.deactivated": Kind("Validation switched off", _ORDER, Act.DISABLE, _MEDIUM),
    "node.enforcement-changed": Kind("Start gate changed", _STATE, Act.UPDATE),
    "node.firmware-accepted": Kind("Firmware accepted", _STATE, Act.UPDATE),
    "node.firmware-changed": Kind("Firmware changed", _STATE, Act.UPDATE),
    "node.invited": Kind("Node invited", _ORDER, Act.CREATE),
    "node.key-replaced": Kind("Key of a node replaced", _ORDER, Act.UPDATE, _MEDIUM),
    "node.lost": Kind("Node lost", _FINDING, Act.NOTIFY, _MEDIUM),
    "node.policy-set": Kind("Policy of a node set", _ORDER, Act.UPDATE),
    "node.registered": Kind("Node registered", _RECORD, Act.CREATE),
    "node.removed": Kind("Node removed", _ORDER, Act.DELETE),
    "node.report-refused": Kind("Report of a node refused", _FINDING, Act.DENY, _MEDIUM),
    "node.returned": Kind("Node returned", _FINDING, Act.NOTIFY),
    "node.software-changed": Kind("Software of a node changed", _STATE, Act.UPDATE),
    "node.swept": Kind("Servers of a node compared", _RECORD, Act.EVALUATE),
    "node.uninvited": Kind("Invitation of a node revoked", _ORDER, Act.REVOKE),
    "reaction.taken": Kind("Server stopped for a violation", _FINDING, Act.STOP, _HIGH),
    "sign.block-jobs-changed": Kind("Block jobs of a server changed", _RECORD, Act.NOTIFY),
    "sign.claim-settled": Kind("Claims of nodes to a server settled", _FINDING, Act.EVALUATE),
    "sign.claimed": Kind("Server claimed by two nodes", _FINDING, Act.NOTIFY, _HIGH),
    "sign.created": Kind("Server signed", _ORDER, Act.CREATE),
    "sign.host-bound-changed": Kind("Host-bound parts of a server changed", _RECORD, Act.NOTIFY, _LOW),
    "sign.leaving": Kind("Server about to move", _RECORD, Act.NOTIFY),
    "sign.moved": Kind("Server moved", _RECORD, Act.UPDATE),
    "sign.policy-set": Kind("Policy of a server set", _ORDER, Act.UPDATE),
    "sign.revoked": Kind("Sign revoked", _ORDER, Act.REVOKE, _LOW),
    "sign.sealed": Kind("Server sealed", _RECORD, Act.UPDATE),
    "sign.stayed": Kind("Server stayed on its node", _RECORD, Act.NOTIFY),
    "sign.updated": Kind("Server signed again", _ORDER, Act.UPDATE, _LOW),
    "sign.validated": Kind("Server compared with its signature", _FINDING, Act.EVALUATE),
    "sign.validation-requested": Kind("Validation requested", _ORDER, Act.EVALUATE),
    "start.refused": Kind("Start of a server refused", _FINDING, Act.DENY, _HIGH),
    "start.tolerated": Kind("Start of a server tolerated despite an objection", _FINDING, Act.ALLOW, _HIGH),
}  # fmt: skip
"""Each topic with its kind. `tests/formats/test_kinds.py` compares the topics with those of the log."""

NEW: Final = Kind("Event of a newer version", _RECORD, Act.NOTIFY)
"""The kind of a topic that this version does not know: a newer control plane has sent it."""
OF_VERDICT: Final = {"true": _INFO, "unknown": _MEDIUM, "false": _HIGH}
OF_GATE: Final = {"active": _INFO, "absent": _LOW, "degraded": _HIGH}


def kind(notice: Notice) -> Kind:
    """Return the kind of an event."""
    return KINDS.get(notice.topic, NEW)


def severity(notice: Notice) -> Severity:
    """Return the severity of an event: of its verdict, its gate or its findings, otherwise of its topic."""
    if notice.is_valid is not None:
        return OF_VERDICT.get(notice.is_valid, _MEDIUM)
    if "enforcement" in notice.data:
        return OF_GATE.get(notice.data["enforcement"], _MEDIUM)
    if notice.topic == "node.firmware-changed" and notice.findings:
        return _HIGH
    return kind(notice).severity


def sentence(notice: Notice) -> str:
    """Return one sentence for people, which may have any characters that the event has."""
    subject = f"server {notice.server_id}" if notice.server_id else f"node {notice.node}"
    verdict = "" if notice.is_valid is None else f" Verdict: {notice.is_valid}."
    why = f" Reason: {', '.join(notice.reasons)}." if notice.reasons else ""
    return f"{kind(notice).title}: {subject}, by {notice.actor}.{verdict}{why}"
