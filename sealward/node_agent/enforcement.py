"""The enforcement of policies on a node: checks of the start gate, reactions to violations, and reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events import typed
from sealward.events.enforcement import Gate, ReactionTaken, Started
from sealward.events.is_valid import IsValid
from sealward.node_agent.gate import hook, spool
from sealward.node_agent.gate.hook import Standing
from sealward.node_agent.ledger.policies import Policies
from sealward.node_agent.reactions import Reactions
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.events.base import Recorded
    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.node_agent.reactions import Act
    from sealward.protocol.desired import Assignment, Desired

log = logging.getLogger(__name__)

CONFIRMED_EVERY: Final = timedelta(minutes=1)
"""How often the ledger notes that the control plane was heard."""


@dataclass(frozen=True, slots=True)
class Means:
    """The means to enforce. `act` and `wake` are described at Reactions.

    `alone_for` is the time for which the gate may rely on a ledger while the control plane is not heard.
    """

    alone_for: timedelta
    act: Act
    wake: Callable[[float], None]


class Enforcement:
    """The start gate, the policies and the reactions of one node, for the thread of one agent.

    `send` takes a report to the control plane. `is_found` is described at Reactions. Objections and reactions
    lie in the spool, and are reported again after each check, until the agent hears the event of each.
    """

    def __init__(  # noqa: PLR0913 - what watching, reporting and reacting need
        self,
        ledger: Ledger,
        hypervisor: Hypervisor,
        hostname: str,
        means: Means,
        *,
        send: Callable[[reports.AnyReport], None],
        clock: Callable[[], datetime],
        is_found: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._send = send
        self._hostname = hostname
        self._hypervisor = hypervisor
        self.policies = Policies(ledger)
        self.reactions = Reactions(
            ledger, hypervisor, self.policies, means.act, clock=clock, wake=means.wake, is_found=is_found
        )
        self._clock = clock
        self._reported = Standing(Gate.ABSENT)
        self._sent: set[str] = set()
        spool.prepare(str(ledger.folder))
        self._confirmed = _moment(ledger.fact("confirmed-at"))
        ledger.keep_fact("alone-for", str(means.alone_for.total_seconds()))

    def take_over(
        self,
        desired: Desired,
        signers: Iterable[Ed25519PublicKey],
        expected: Iterable[Assignment] = (),
    ) -> None:
        """Take over the state that the control plane has recorded.

        A reference must be signed by a key of `signers`. The policies of `expected` servers, which may be
        coming to this node, stay.
        """
        self._ledger.keep_fact("signers", " ".join(one.public_bytes_raw().hex() for one in signers))
        self._reported = Standing(desired.enforcement, desired.enforcement_reason)
        self._sent.clear()
        spool.remove(str(self._ledger.folder), frozenset(desired.recorded))
        servers = {
            one.server_id: (one.policy, one.policy_position) for one in (*expected, *desired.assignments)
        }
        self.policies.replace_all(desired.policy, desired.policy_position, servers)
        self.reactions.take_over(
            {one.server_id: one.sealed for one in desired.assignments if one.is_valid == IsValid.FALSE},
            {one.server_id: set(one.claimed_by) for one in desired.assignments},
        )
        self._heard()

    def _heard(self) -> None:
        """Note in the ledger that the control plane was heard: the start gate may rely on the ledger."""
        now = self._clock()
        is_recent = self._confirmed is not None and timedelta(0) <= now - self._confirmed < CONFIRMED_EVERY
        if not is_recent or self._ledger.is_ahead(now):
            self._ledger.hear(now)
            self._confirmed = now

    def hear(self, recorded: Recorded) -> None:
        """Take over the changes of an event, and remove the report that the event records from the spool."""
        self._heard()
        event = recorded.event
        match event:
            case of_sign.SignEvent():
                self._hear_of_sign(event, recorded.position)
            case of_node.NodePolicySet():
                self.policies.set_node(event.policy, recorded.position)
            case Started():
                spool.remove(str(self._ledger.folder), frozenset((event.objection_id,)))
            case ReactionTaken():
                spool.remove(str(self._ledger.folder), frozenset((event.reaction_id,)))

    def _hear_of_sign(self, event: of_sign.SignEvent, position: int) -> None:
        match event:
            case of_sign.SignPolicySet():
                self.policies.set_server(event.server_id, event.policy, position)
            case of_sign.SignValidated(is_valid=IsValid.FALSE):
                self.reactions.violated(event.server_id, event.generation)
            case of_sign.SignSealed() | of_sign.SignValidated(is_valid=IsValid.TRUE):
                self.reactions.cleared(event.server_id)
            case of_sign.SignClaimed():
                self.reactions.claimed(event.server_id, event.by_node_id)
            case of_sign.SignClaimSettled():
                self.reactions.unclaimed(event.server_id, event.by_node_id)
            case of_sign.SignRevoked():
                self.reactions.cleared(event.server_id)
                self.policies.forget(event.server_id)

    def step(self) -> None:
        """Carry out the reactions that are due, and send the new reports in the spool."""
        self.reactions.step()
        self.report_waiting()

    def check_gate(self) -> None:
        """Check the start gate, note the version of libvirt, and send all reports in the spool again."""
        hypervisor = self._hypervisor.version
        if hypervisor and hypervisor != self._ledger.fact("hypervisor"):
            self._ledger.keep_fact("hypervisor", hypervisor)
        found = hook.standing(self._ledger.folder)
        if found != self._reported:
            log.warning("%s: the start gate is %s: %s", self._hostname, found.gate, found.reason)
            self._send(reports.Enforcement(hostname=self._hostname, state=found.gate, reason=found.reason))
            self._reported = found
        self._sent.clear()
        self.report_waiting()

    def report_waiting(self) -> None:
        """Send the reports in the spool that were not sent since the last check of the start gate."""
        for report_id, text in spool.waiting(str(self._ledger.folder)):
            if report_id not in self._sent:
                self._sent.add(report_id)
                self._report(report_id, text)

    def _report(self, report_id: str, text: bytes) -> None:
        try:
            fields = typed.decode(text, dict[str, object]) | {"hostname": self._hostname}
            report = typed.convert(fields, reports.Objection | reports.Reaction)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as unreadable:
            log.warning("an entry of the spool cannot be read: %s", unreadable)
            spool.remove(str(self._ledger.folder), frozenset((report_id,)))
        else:
            self._send(report)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
