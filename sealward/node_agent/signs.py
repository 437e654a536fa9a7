"""The signs of a node: the work of an agent on the servers that it has to seal and to validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.cause import Cause
from sealward.events.verdict_reason import VerdictReason
from sealward.node_agent.ledger.references import References, entries
from sealward.node_agent.measuring.not_measured import NotMeasured
from sealward.node_agent.sealing import Order, Sealing
from sealward.node_agent.tasks import OpenTask, OpenTasks
from sealward.node_agent.validation.comparison import EQUAL
from sealward.node_agent.validation.validator import is_as_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.events.base import Event
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.inventory import Inventory
    from sealward.node_agent.ledger.bindings import Bindings
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.validation.measurer import ServerMeasurer
    from sealward.node_agent.validation.reported import Reported
    from sealward.node_agent.validation.reporter import Reporter
    from sealward.node_agent.validation.validator import Validator
    from sealward.protocol.desired import Assignment, Desired


class NotSealed(NotMeasured):
    """There is no reference yet to compare the server with."""

    code = VerdictReason.NOT_SEALED


class Signs:
    """The references, orders and tasks of one node, for the thread of one agent.

    Orders stay open, and tasks unanswered, until the event is heard that a report of this node led to.
    """

    def __init__(  # noqa: PLR0913 - one argument for each part that a sign concerns
        self,
        ledger: Ledger,
        bindings: Bindings,
        validator: Validator,
        *,
        measurer: ServerMeasurer,
        reported: Reported,
        reporter: Reporter,
        inventory: Inventory,
        files: FileMeasurer,
    ) -> None:
        self._ledger = ledger
        self._bindings = bindings
        self._validator = validator
        self._measurer = measurer
        self._reported = reported
        self._reporter = reporter
        self._inventory = inventory
        self._files = files
        self._references = References(ledger, ())
        self._sealing = Sealing(self._seal)
        self._tasks = OpenTasks()
        self._active: bool | None = None
        """Whether validation is switched on; None until an administrator switches it."""

    @property
    def node_id(self) -> int:
        """Return the id that the control plane gave to this node; 0 before it is registered."""
        return self._reporter.node_id

    @property
    def is_active(self) -> bool | None:
        """Say whether validation is switched on; None until an administrator has switched it."""
        return self._active

    def server_ids(self) -> set[str]:
        """Return the servers that have a reference."""
        return {one.server_id for one in self._references}

    def take_over(
        self,
        desired: Desired,
        signers: Iterable[Ed25519PublicKey],
        expected: Iterable[Assignment],
    ) -> References:
        """Take over the state that the control plane has recorded; return the references of this node.

        A reference must be signed by a key of `signers`. The references of `expected` servers, which may be
        coming to this node, stay in the ledger for the start gate.
        """
        expected = tuple(expected)
        self._reporter.node_id = desired.node_id
        self._active = desired.active
        references = References(self._ledger, signers)
        references.replace_all(entries(desired.assignments), entries(expected))
        for server_id in self.server_ids():
            if server_id not in references:
                self._forget_reports(server_id)
        self._references = references
        self._bindings.replace_all(
            {one.server_id: one.binding for one in desired.assignments}, (one.server_id for one in expected)
        )
        self._reported.begin(
            (one.server_id for one in desired.assignments if is_as_sealed(one)),
            (one.server_id for one in desired.assignments if one.is_valid == "false"),
        )
        self._sealing.take_over(desired.assignments)
        self._tasks.take_over(desired)
        return references

    def seal(self) -> None:
        """Carry out all open orders to seal a server."""
        self._sealing.carry_out()

    def sweep(self, cause: Cause, task_id: str | None = None) -> None:
        """Validate all servers, and report the result in one report."""
        self._validator.sweep(self._references, self._sealing.pass_over(), self._unsigned(), cause, task_id)

    def answer_all(self, cause: Cause, *, sweep: bool) -> None:
        """Answer every open task. With `sweep`, sweep as well, unless a task has caused a sweep."""
        for task in self._tasks:
            if task.server_id is None:
                self._answer_switch(task.task_id)
                sweep = False
            else:
                self._validate(task.server_id, task)
        if sweep:
            self.sweep(cause)

    def arrived(self, before: set[str]) -> None:
        """Validate the servers that were not there `before`, and forget the files of those that left."""
        for reference in self._references:
            if reference.server_id not in before:
                self._validate_new(reference)
        for server_id in before:
            if server_id not in self._references:
                self._files.forget(server_id)

    def changed(self, server_id: str, *, is_certain: bool = False) -> None:
        """Validate a server that may have changed, and carry out an order that failed before.

        `is_certain`: the domain has changed, even if it is again as it was.
        """
        self._sealing.try_again(server_id)
        self._answer(server_id)
        reference = self._references.get(server_id)
        if reference is not None and self._active is not False:
            cause = Cause.CHANGED_BACK if is_certain else Cause.DOMAIN_CHANGED
            self._validator.validate(reference, cause)

    def hear(self, event: Event) -> None:
        """Act on an event."""
        match event:
            case of_sign.SignEvent():
                self._bindings.hear(event)
                self._hear_of_sign(event)
            case of_node.NodeActivated() | of_node.NodeDeactivated():
                self._switch(event)
            case of_node.NodeSwept():
                self._tasks.answered(event.task_id)

    def _hear_of_sign(self, event: of_sign.SignEvent) -> None:
        match event:
            case of_sign.SignCreated() | of_sign.SignUpdated():
                self._tasks.supersede(event.server_id)
                self._sealing.give(Order(event.server_id, event.sign_id, event.generation, event.task_id))
            case of_sign.SignSealed():
                self._sealed(event)
            case of_sign.SignValidationRequested():
                self._validation_requested(event)
            case of_sign.SignClaimSettled():
                self._claim_settled(event.server_id)
            case of_sign.SignValidated():
                self._tasks.answered(event.task_id)
                self._reported.note_verdict(event.server_id, event.is_valid)
            case of_sign.SignRevoked():
                self._forget(event.server_id)
            case of_sign.SignMoved() if event.node_id != self.node_id:
                self._forget(event.server_id)

    def _switch(self, event: of_node.NodeActivated | of_node.NodeDeactivated) -> None:
        self._active = isinstance(event, of_node.NodeActivated)
        self._tasks.supersede(None)
        if event.task_id is not None:
            self._tasks.add(OpenTask(event.task_id))
        self._answer_switch(event.task_id)

    def _answer_switch(self, task_id: str | None) -> None:
        """Report the result of switching validation on or off."""
        if self._active:
            self.sweep(Cause.NODE_ACTIVATED, task_id)
        else:
            self._validator.withhold_all(self._references, self._unsigned(), task_id)

    def _unsigned(self) -> int:
        return self._inventory.count_without(self._references)

    def _seal(self, order: Order) -> bool:
        return self._validator.seal(order, self._references.get(order.server_id))

    def _sealed(self, event: of_sign.SignSealed) -> None:
        """Take the new reference, and validate: the server may have changed since it was measured."""
        passed_over = self._sealing.sealed(event.server_id, event.generation)
        self._references.put(event.server_id, event.sign_id, event.generation, event.envelope)
        self._reported.note(event.server_id, EQUAL)
        reference = self._references.get(event.server_id)
        if reference is not None:
            self._validate_new(reference, passed_over=passed_over)
        self._answer(event.server_id)

    def _validation_requested(self, event: of_sign.SignValidationRequested) -> None:
        task = OpenTask(event.task_id or "", event.server_id, event.sign_id)
        if event.task_id is not None:
            self._tasks.add(task)
        self._validate(event.server_id, task)

    def _claim_settled(self, server_id: str) -> None:
        """Validate a server that no other node claims any more: its verdict stays unknown until then."""
        self._sealing.again(server_id)
        reference = self._references.get(server_id)
        if reference is not None:
            self._validate_new(reference, passed_over=True)

    def _validate_new(self, reference: Reference, *, passed_over: bool = False) -> None:
        """Validate a server that is new to this node.

        Where sweeps `passed_over` the server, the result is reported also if it is the same as before.
        """
        if self._active is False:
            return
        if passed_over:
            self._reported.report_again(reference.server_id)
        cause = Cause.PASSED_OVER if passed_over else Cause.DOMAIN_CHANGED
        self._validator.validate(reference, cause, is_new=True)

    def _answer(self, server_id: str) -> None:
        """Answer the open tasks about a server."""
        for task in self._tasks.of(server_id):
            self._validate(server_id, task)

    def _validate(self, server_id: str, task: OpenTask) -> None:
        """Validate a server because a task asks for it. A server with an open order is validated later."""
        reference = self._references.get(server_id)
        if reference is None and self._sealing.is_sent(server_id):
            return
        if reference is None:
            self._validator.refuse(server_id, task.sign_id, NotSealed(), task.task_id or None)
        else:
            self._validator.validate(reference, Cause.REQUESTED, task.task_id or None)

    def _forget(self, server_id: str) -> None:
        """Forget a server that is no longer signed, or no longer on this node."""
        self._tasks.supersede(server_id)
        self._sealing.forget(server_id)
        self._files.forget(server_id)
        self._references.remove(server_id)
        self._forget_reports(server_id)

    def _forget_reports(self, server_id: str) -> None:
        self._reported.forget(server_id)
        self._measurer.forget(server_id)
