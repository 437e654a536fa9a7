"""The conclusion of a decision: whether the server starts, the text for its user, and the report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.node_agent.gate.decision.judge import Reason, objection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.comparison.measurement import Finding
    from sealward.events.policy import Policy

SHOWN: Final = 8
"""Findings in the text for the user, at most. The event has more."""
KEPT: Final = 100
"""Findings in the report, at most."""
WORDS: Final = {
    Reason.DIFFERS: "it is not as it was signed",
    Reason.NOT_COMPARED: "some of its files could not be compared with what was signed",
    Reason.UNSIGNED: "nobody signed it, or it is signed on a node that does not send it here",
    Reason.UNANSWERED: "it is unknown here, and the control plane did not say in time whether it is signed",
    Reason.UNREADABLE: "its XML cannot be measured",
    Reason.MISSING: "it is signed, but its reference is not in this node's ledger",
    Reason.ROLLED_BACK: "the reference in this node's ledger is older than one that was there before",
    Reason.UNVERIFIED: "the reference in this node's ledger lacks a valid signature",
    Reason.PROFILE: "it was signed under another profile or another libvirt",
    Reason.STALE: "the control plane has not confirmed this node's ledger for too long",
    Reason.LEDGER: "this node's ledger cannot be read",
    Reason.FIRMWARE: "this node's firmware files have changed",
    Reason.TIME: "there was no time to compare it",
    Reason.NOT_GIVEN: "its XML never arrived",
    Reason.PLACE: "nobody signed it, and it has the name or the boot disk of a signed server",
    Reason.REPLACED: "its files are not those that were compared before it started",
    Reason.FAILED: "the comparison failed",
}
ADVICE: Final = {
    Reason.DIFFERS: "Undo the change, or have an administrator sign it as it is: PUT /v1/sign.",
    Reason.NOT_COMPARED: "Try again when the agent has read them, or see why they cannot be read.",
    Reason.UNSIGNED: "Have an administrator sign it (POST /v1/sign), or allow unsigned servers on the node.",
    Reason.UNANSWERED: "Try again when agent and control plane answer, or allow unsigned servers here.",
    Reason.MISSING: "The agent fetches it when it reaches the control plane: see that it runs.",
    Reason.ROLLED_BACK: "Start the agent: it fetches the reference in force. Find out who did it.",
    Reason.UNVERIFIED: "Start the agent: it fetches the reference in force. Find out who changed the ledger.",
    Reason.PLACE: "Give it a name and disks of its own, or revoke the sign of the other: DELETE /v1/sign.",
    Reason.STALE: "Start the agent, and see that it reaches the control plane.",
    Reason.LEDGER: "Start the agent on its data directory.",
    Reason.FIRMWARE: "Find out who changed them: GET /v1/events.",
}
BY_DEFAULT: Final = "The agent's log says more."


class Server(NamedTuple):
    """The server that is to start. `server_id` is None where the XML has no readable UUID."""

    server_id: str | None
    instance_name: str


class Conclusion(NamedTuple):
    """Whether a server may start, and the objection to its start, if there is one."""

    server: Server
    allowed: bool
    reason: Reason | None = None
    findings: tuple[Finding, ...] = ()
    detail: str = ""
    record: str = ""
    """The record of the files that were read (`gate.record`), for a server that may start."""

    @property
    def text(self) -> str:
        """Return the text for the user who asked for the start; empty where there is no objection."""
        if self.reason is None:
            return ""
        name = f"{self.server.instance_name!r} ({self.server.server_id or 'no UUID'})"
        will = "lets" if self.allowed else "does not let"
        lines = [f"Sealward {will} {name} start: {WORDS[self.reason]}."]
        lines += [f"  {one}" for one in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            lines.append(f"  and {len(self.findings) - SHOWN} more differences")
        return "\n".join(
            [*lines, *([self.detail] if self.detail else []), ADVICE.get(self.reason, BY_DEFAULT)]
        )

    def report(self, moment: str) -> dict[str, object] | None:
        """Return the fields of a `protocol.reports.Objection` but its node; None without an objection."""
        if self.reason is None:
            return None
        return {
            "kind": "objection",
            "id": os.urandom(16).hex(),
            "server_id": self.server.server_id,
            "instance_name": self.server.instance_name,
            "decided_at": moment,
            "reason": self.reason.value,
            "refused": not self.allowed,
            "findings": [
                {name: getattr(one, name) for name in ("section", "xpath", "signed", "found", "form")}
                for one in self.findings[:KEPT]
            ],
        }


def conclude(
    server: Server,
    policy: Policy,
    doubts: Iterable[tuple[Reason, tuple[Finding, ...]]],
    detail: str = "",
) -> Conclusion:
    """Return the conclusion of a policy about a start, given all doubts: each is a reason with findings."""
    explained: dict[Reason, tuple[Finding, ...]] = {}
    for reason, findings in doubts:
        explained[reason] = (*explained.get(reason, ()), *findings)
    given = objection(policy, explained)
    if given is None:
        return Conclusion(server, allowed=True)
    return Conclusion(server, not given.refused, given.reason, explained[given.reason], detail)
