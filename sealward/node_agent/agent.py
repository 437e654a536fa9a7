"""The agent of one node, step by step: what it does about a message, a change, and the time that goes by."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from sealward.events import cloudevent, codec
from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.set_aside import BROKEN
from sealward.node_agent.enforcement import Enforcement
from sealward.node_agent.files.measurer import NO_SERVER
from sealward.node_agent.hypervisor.departures import Departures
from sealward.node_agent.hypervisor.hypervisor import NotSealed
from sealward.node_agent.inventory import Inventory
from sealward.node_agent.ledger.bindings import Bindings
from sealward.node_agent.ledger.newcomers import Newcomers
from sealward.node_agent.ledger.references import References, entries
from sealward.node_agent.messages.hearing import Hearing
from sealward.node_agent.messages.registration import Registration
from sealward.node_agent.sealing import Order, Sealing
from sealward.node_agent.set_aside import Aside
from sealward.node_agent.validator import EQUAL, Validator, is_as_sealed, is_away
from sealward.protocol import reports, telling
from sealward.protocol.desired import Desired
from sealward.protocol.telling import Behind, Incoming, Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    import msgspec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from sealward.events.base import Recorded
    from sealward.node_agent.enforcement import Means
    from sealward.node_agent.files.firmware import Firmware
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.messages.outbox import Outbox
    from sealward.node_agent.messages.trust import Trust

log = logging.getLogger(__name__)

ANEW: Final = 15
"""After so many sweeps an agent has itself told everything anew, in case the bus has lost an event."""


@dataclass(frozen=True, slots=True)
class Question:
    """A task that waits for this node's answer: about one sign, or (None) about the whole node."""

    task_id: str
    server_id: str | None = None
    sign_id: int = 0


class Agent:
    """Signs what it reports. Every state it needs comes from the control plane at registration.

    What it reports counts when it is heard again as an event: until then an order stays open, a question is
    not answered, and a difference is said again.

    What it says in one step, which a public method is, leaves together.
    For one thread; `beat`, `take_at_once`, `unsealed`, `newcomers` and `aside` for any.
    """

    def __init__(  # noqa: PLR0913 - one argument for each part
        self,
        *,
        keyring: Keyring,
        ledger: Ledger,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        firmware: Firmware,
        outbox: Outbox,
        clock: Callable[[], datetime],
        means: Means,
        trust: Trust,
        invitation: Ed25519PrivateKey | None = None,
    ) -> None:
        self.trust = trust
        self.hostname = outbox.hostname
        self._ledger = ledger
        self._hypervisor = hypervisor
        self._files = files
        self._firmware = firmware
        self._said_firmware: dict[str, str] | None = None
        self._outbox = outbox
        self.aside = Aside(self.hostname, outbox.put)
        self._clock = clock
        self._bindings = Bindings(ledger)
        self._validator = Validator(
            hypervisor,
            files,
            self._bindings,
            hostname=self.hostname,
            keyring=keyring,
            moment=self._moment,
            send=outbox.put,
        )
        self._departures = Departures(
            hypervisor, self.hostname, moment=self._moment, send=self._say_at_once, wake=means.wake
        )
        self._inventory = Inventory(
            hypervisor,
            self.hostname,
            moment=self._moment,
            send=outbox.put,
            departing=self._departures.leaving,
            gone=self._validator.unsay,
        )
        self._references = References(ledger, ())
        self.enforcement = Enforcement(
            ledger,
            hypervisor,
            self.hostname,
            means,
            send=outbox.put,
            clock=clock,
            is_found=self._validator.is_found_different,
        )
        self.newcomers = Newcomers(self.enforcement.policies, self._ask)
        self._sealing = Sealing(self._seal)
        self._asked: dict[str, Question] = {}
        """What is not answered yet, by task."""
        self._active: bool | None = None
        self._hearing = Hearing()
        self.registration = Registration(self.hostname, keyring, invitation)
        self._ticks = 0
        self._is_again = False
        """Whether it asked to be told everything although it knows it."""

    @property
    def registered(self) -> bool:
        """Say whether the control plane has told this agent what it has to know."""
        return self._hearing.position is not None

    def register(self) -> None:
        """Ask the control plane for everything that this agent has to know."""
        self._is_again = self.registered
        self._hearing.ask()
        self._outbox.send(*self.registration.ask(self._moment()))
        self._make_up_for_losses()

    def beat(self) -> None:
        """Say that this agent is there; before it is known, its registration says so."""
        if self.registered:
            self._outbox.send(reports.Heartbeat(hostname=self.hostname))

    def _ask(self, server_id: str, nonce: str) -> bool:
        """Ask for a server that is none of this node's; say whether that was possible. For any thread."""
        return self._say_at_once(reports.Wanted(hostname=self.hostname, server_id=server_id, nonce=nonce))

    def _say_at_once(self, report: reports.AnyReport) -> bool:
        """Say something by itself; say whether that was possible. For any thread."""
        return self.registered and self._outbox.send(report)

    def take_at_once(self, message: telling.Message) -> bool:
        """Take a message that somebody waits for, if it is one; say whether it is. For any thread.

        A job of this agent may wait for libvirt, which may wait for its start gate, which waits for this.
        """
        match message:
            case Inquiry():
                self.aside.attempt("told.inquiry", partial(self._departures.take, message))
            case Incoming():
                self.aside.attempt("told.incoming", partial(self.newcomers.take, message))
            case _:
                return False
        return True

    def tick(self) -> None:
        """Look at everything because it is time to; without an answer to its registration, register again."""
        self._ticks += 1
        self.aside.say_again()
        self._make_up_for_losses()
        if not self.registered or self.registration.waits or self._ticks % ANEW == 0:
            self.register()
        if self.registered:
            self.newcomers.forget()
            with self._step():
                self.enforcement.look()
                self._inventory.report()
                self._report_firmware()
                self._sealing.carry_out()
                self._do_what_was_asked("sweep", look=bool(self._active))

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """Let what is said meanwhile leave together."""
        yield
        self._outbox.flush()
        self._make_up_for_losses()

    def _make_up_for_losses(self) -> None:
        """Register anew, soon, when something that was said did not reach the broker."""
        if self._outbox.was_cut_off():
            self._hearing.forget()

    def enforce(self) -> None:
        """React to what is due; report that, what the start gate objected to, and what leaves no more."""
        if self.registered:
            with self._step():
                self.enforcement.step()
                if self._departures.any:
                    self._inventory.report(if_news=True)

    def look_at(self, changed: set[str | None]) -> None:
        """Look at the domains that changed; at all of them, None, when nobody knows which."""
        if self.registered:
            with self._step():
                self._look_at(changed)

    def _look_at(self, changed: set[str | None]) -> None:
        self._inventory.report(if_news=True)
        if NO_SERVER in changed:
            self._report_firmware()
        if None in changed:
            self._sealing.carry_out()
            if self._active is not False:
                self._sweep("rescan", None)
            return
        for server_id in sorted(one for one in changed if one is not None):
            self._sealing.try_again(server_id)
            self._answer(server_id)
            reference = self._references.get(server_id)
            if reference is not None and self._active is not False:
                self._validator.validate(reference, "domain-changed")

    def _report_firmware(self) -> None:
        """Report which firmware files are here when that is news."""
        found = self._firmware.measure()
        if found is not None and found != self._said_firmware:
            self._outbox.put(reports.Firmware(hostname=self.hostname, files=found))
            self._said_firmware = found

    def _sweep(self, cause: str, task_id: str | None) -> None:
        unsigned = self._inventory.count_without(self._references)
        self._validator.sweep(self._references, self._sealing.pass_over(), unsigned, cause, task_id)

    def _seal(self, order: Order) -> bool:
        return self._validator.seal(order, self._references.get(order.server_id))

    def _moment(self) -> datetime:
        return self._ledger.next_moment(self._clock())

    def unsealed(self, body: bytes) -> telling.Told | None:
        """Return what the authority tells this node; None where that is nothing, or cannot be read."""
        try:
            return self.trust.unsealed(body, self.hostname)
        except telling.ToldUnreadable as unreadable:
            self.aside.put(0, "told", unreadable)
            return None

    def receive(self, body: bytes) -> None:
        """Act on a message, if the authority has signed it for this node."""
        told = self.unsealed(body)
        if told is not None:
            self.hear(told.message)

    def hear(self, message: telling.Message) -> None:
        """Act on what the control plane says; a message that breaks that is set aside."""
        kind = type(message).__struct_config__.tag
        self.aside.attempt(f"told.{kind}", partial(self._take, message))

    def _take(self, message: telling.Message) -> None:
        match message:
            case Desired():
                with self._step():
                    self._take_over(message)
            case telling.Happened():
                self._hear(message.event)
            case telling.Anew() if self._hearing.needs(message.position):
                self.register()
            case Behind():
                self._catch_up(message)
            case _:
                self.take_at_once(message)

    def _catch_up(self, told: Behind) -> None:
        """Go on after the boot that was heard last, if this agent has asked, and register with that."""
        if self.registration.is_asked(told.answers) and self._outbox.turns.go_beyond(told.boot):
            log.warning("%s: the ledger was put back; it goes on after boot %d", self.hostname, told.boot)
            self.register()

    def _take_over(self, desired: Desired) -> None:
        """Take over the whole state that the control plane wants, then look at everything."""
        if not self.registration.is_answered_by(desired.answers):
            log.info("%s waits for another answer than that as of %d", self.hostname, desired.position)
            return
        self.registration.answered(desired.answers)
        if self._hearing.is_old(desired.position):
            log.info("%s has heard more than that as of %d", self.hostname, desired.position)
            self.register()
            return
        signers = self.trust.take(desired)
        log.info("%s is node %d, %d signs", self.hostname, desired.node_id, len(desired.assignments))
        later = self._hearing.begin_at(desired.position)
        look = not self._is_again or any(map(is_away, desired.assignments))
        known = {one.server_id for one in self._references}
        self._adopt(desired, signers)
        self.enforcement.look()
        self._inventory.report()
        self._report_firmware()
        self._sealing.carry_out()
        self._do_what_was_asked("agent-started", look=look and self._active is not False)
        if not look:
            self._welcome(known)
        for recorded in later:
            if self._hearing.is_news(recorded):
                self._act_on(recorded)

    def _welcome(self, known: set[str]) -> None:
        """Look at the servers that came here, and forget about the files of those that went."""
        for reference in self._references:
            if reference.server_id not in known:
                self._look_at_new(reference)
        for server_id in known:
            if server_id not in self._references:
                self._files.forget(server_id)

    def _adopt(self, desired: Desired, signers: Iterable[Ed25519PublicKey]) -> None:
        self._validator.node_id = desired.node_id
        self._active = desired.active
        expected = self.newcomers.expected()
        self.enforcement.take_over(desired, signers, expected)
        references = References(self._ledger, signers)
        references.replace_all(entries(desired.assignments), entries(expected))
        for reference in self._references:
            if reference.server_id not in references:
                self._validator.forget(reference.server_id)
        self._references = references
        self._bindings.replace_all(
            {one.server_id: one.binding for one in desired.assignments}, (one.server_id for one in expected)
        )
        self.newcomers.begin(references)
        self._validator.begin(
            {one.server_id: EQUAL for one in desired.assignments if is_as_sealed(one)},
            {one.server_id for one in desired.assignments if one.is_valid == "false"},
        )
        self._sealing.take_over(desired.assignments)
        signs = {one.server_id: one.sign_id for one in desired.assignments}
        self._asked = {
            duty.task_id: Question(duty.task_id, duty.server_id, signs.get(duty.server_id or "", 0))
            for duty in desired.duties
            if duty.action in ("validate", "activate", "deactivate")
        }
        self._firmware.accept(desired.firmware)
        self._said_firmware = None

    def _do_what_was_asked(self, cause: str, *, look: bool) -> None:
        """Answer every task that is open; `look` at everything in any case."""
        for question in tuple(self._asked.values()):
            if question.server_id is None:
                self._switch(question.task_id)
                look = False
            else:
                self._validate(question.server_id, question)
        if look:
            self._sweep(cause, None)

    def _switch(self, task_id: str | None) -> None:
        """Answer that validation was switched on or off."""
        if self._active:
            self._sweep("node-activated", task_id)
        else:
            self._validator.withhold_all(
                self._references, self._inventory.count_without(self._references), "node-deactivated", task_id
            )

    def _hear(self, event: msgspec.Raw) -> None:
        """Act on an event, unless it is older than what this agent knows already."""
        try:
            recorded = cloudevent.parse(bytes(event))
        except codec.EventRefused as refused:
            self._set_aside(*cloudevent.place_of(bytes(event)), refused)
            return
        if self.registration.has_another_key(recorded.event):
            self._hearing.forget()  # what is on its way under the key before counts no more
            self.register()
        if self._hearing.is_news(recorded):
            with self._step():
                self._act_on(recorded)

    def _act_on(self, recorded: Recorded) -> None:
        """Act on an event; if that breaks, set the event aside."""
        try:
            self._carry_out(recorded)
        except BROKEN as broken:
            self._set_aside(recorded.position, recorded.event.topic, broken)

    def _set_aside(self, position: int, topic: str, why: Exception) -> None:
        """Go on without an event: have this agent told everything anew, which has what the event led to."""
        self.aside.put(position, topic, why)
        self.register()

    def _carry_out(self, recorded: Recorded) -> None:
        self.enforcement.hear(recorded)
        event = recorded.event
        match event:
            case of_sign.SignEvent():
                self._hear_of_sign(event)
            case of_node.NodeFirmwareAccepted():
                self._firmware.accept(event.files)
            case of_node.NodeActivated() | of_node.NodeDeactivated():
                self._active = isinstance(event, of_node.NodeActivated)
                self._close(None)
                if event.task_id is not None:
                    self._asked[event.task_id] = Question(event.task_id)
                self._switch(event.task_id)
            case of_node.NodeRemoved() if event.node_id == self._validator.node_id:
                self.registration.end()
                self._hearing.forget()
            case of_node.NodeSwept():
                self._asked.pop(event.task_id or "", None)

    def _close(self, server_id: str | None) -> None:
        """Leave open questions alone: a later order took their place."""
        self._asked = {task_id: one for task_id, one in self._asked.items() if one.server_id != server_id}

    def _hear_of_sign(self, event: of_sign.SignEvent) -> None:
        self._bindings.hear(event)
        match event:
            case of_sign.SignCreated() | of_sign.SignUpdated():
                self._close(event.server_id)
                self._sealing.give(Order(event.server_id, event.sign_id, event.generation, event.task_id))
            case of_sign.SignSealed():
                self._sealed(event)
            case of_sign.SignValidationRequested():
                self._asked_to_validate(event)
            case of_sign.SignClaimSettled():
                self._settled(event.server_id)
            case of_sign.SignValidated():
                self._asked.pop(event.task_id or "", None)
                self._validator.heard(event.server_id, event.is_valid)
            case of_sign.SignRevoked():
                self._forget(event.server_id)
            case of_sign.SignMoved() if event.node_id != self._validator.node_id:
                self._forget(event.server_id)

    def _forget(self, server_id: str) -> None:
        """Have nothing to do with a server any more."""
        self._close(server_id)
        self._sealing.forget(server_id)
        self._files.forget(server_id)
        self._references.remove(server_id)
        self._validator.forget(server_id)

    def _settled(self, server_id: str) -> None:
        """Look again at a server that no other node claims any more: trust comes back by that alone."""
        self._sealing.again(server_id)
        reference = self._references.get(server_id)
        if reference is not None:
            self._look_at_new(reference, passed_over=True)

    def _asked_to_validate(self, event: of_sign.SignValidationRequested) -> None:
        question = Question(event.task_id or "", event.server_id, event.sign_id)
        if event.task_id is not None:
            self._asked[event.task_id] = question
        self._validate(event.server_id, question)

    def _validate(self, server_id: str, question: Question) -> None:
        """Validate because it was asked for; what is about to be sealed is validated then."""
        reference = self._references.get(server_id)
        if reference is None and self._sealing.is_sent(server_id):
            return
        if reference is None:
            self._validator.refuse(server_id, question.sign_id, NotSealed(), question.task_id or None)
        else:
            self._validator.validate(reference, "requested", question.task_id or None)

    def _sealed(self, event: of_sign.SignSealed) -> None:
        """Take the new reference, and look again: the server may have changed since it was measured."""
        passed_over = self._sealing.sealed(event.server_id, event.generation)
        self._references.put(event.server_id, event.sign_id, event.generation, event.envelope)
        self._validator.said[event.server_id] = EQUAL
        reference = self._references.get(event.server_id)
        if reference is not None:
            self._look_at_new(reference, passed_over=passed_over)
        self._answer(event.server_id)

    def _look_at_new(self, reference: Reference, *, passed_over: bool = False) -> None:
        if self._active is False:
            return
        if passed_over:
            self._validator.unsay(reference.server_id)
        cause = of_sign.PASSED_OVER if passed_over else "domain-changed"
        self._validator.validate(reference, cause, is_new=True)

    def _answer(self, server_id: str) -> None:
        """Validate a server for whoever waits for it."""
        for question in tuple(self._asked.values()):
            if question.server_id == server_id:
                self._validate(server_id, question)
