"""The agent of a node: its reactions to messages, to changes of servers, and to the clock."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from sealward.events import node as of_node
from sealward.events.cause import Cause
from sealward.events.set_aside import BROKEN
from sealward.events.wire import cloudevent, codec
from sealward.node_agent.enforcement import Enforcement
from sealward.node_agent.files.measurer import NO_SERVER
from sealward.node_agent.firmware_report import FirmwareReport
from sealward.node_agent.hypervisor.departures import Departures
from sealward.node_agent.inventory import Inventory
from sealward.node_agent.ledger.bindings import Bindings
from sealward.node_agent.ledger.expected_servers import ExpectedServers
from sealward.node_agent.ledger.saved_images import SavedImages
from sealward.node_agent.messages.cursor import EventCursor
from sealward.node_agent.messages.registration import Registration
from sealward.node_agent.set_aside import SetAside
from sealward.node_agent.signs import Signs
from sealward.node_agent.software_report import SoftwareReport
from sealward.node_agent.validation.measurer import ServerMeasurer
from sealward.node_agent.validation.reported import Reported
from sealward.node_agent.validation.reporter import Reporter
from sealward.node_agent.validation.validator import Validator, is_away
from sealward.protocol import reports, telling
from sealward.protocol.desired import Desired
from sealward.protocol.telling import Behind, Incoming, Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
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
    from sealward.node_agent.messages.outbox import Outbox
    from sealward.node_agent.messages.trust import Trust

log = logging.getLogger(__name__)

ANEW: Final = 15
"""After this many sweeps an agent asks for its whole state again, in case the bus has lost an event."""


class Agent:
    """Keeps the signs of a node: it seals, validates, enforces and reports, and signs its reports.

    The control plane tells an agent all its state at registration. A report counts when the agent has heard
    the event that the report led to. Until then an order stays open, a task is not answered, and a difference
    is reported again. All reports of a call of a public method are sent together.

    For a single thread. `beat`, `take_at_once`, `unsealed`, `expected_servers` and `set_aside` are for any
    thread.
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
        self._outbox = outbox
        self._clock = clock
        self._ticks = 0
        self._is_again = False
        """Whether this agent asked for its whole state although it had the whole state already."""
        self._cursor = EventCursor()
        self.set_aside = SetAside(self.hostname, outbox.put)
        self.registration = Registration(self.hostname, keyring, invitation)
        self._firmware = FirmwareReport(firmware, self.hostname, outbox.put)
        self._software = SoftwareReport(hypervisor, self.hostname, outbox.put)
        self._departures = Departures(
            hypervisor, self.hostname, moment=self._moment, send=self._send_at_once, wake=means.wake
        )
        reported = Reported()
        self._inventory = Inventory(
            hypervisor,
            self.hostname,
            moment=self._moment,
            send=outbox.put,
            departing=self._departures.leaving,
            gone=reported.report_again,
        )
        self.enforcement = Enforcement(
            ledger,
            hypervisor,
            self.hostname,
            means,
            send=outbox.put,
            clock=clock,
            is_found=reported.is_different,
        )
        self.expected_servers = ExpectedServers(self.enforcement.policies, self._ask)
        reporter = Reporter(self.hostname, keyring, outbox.put)
        self._signs = self._signs_of(ledger, hypervisor, files, reported, reporter)

    def _signs_of(
        self,
        ledger: Ledger,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        reported: Reported,
        reporter: Reporter,
    ) -> Signs:
        bindings = Bindings(ledger)
        measurer = ServerMeasurer(hypervisor, files, bindings, saved=SavedImages(ledger))
        return Signs(
            ledger,
            bindings,
            Validator(measurer, bindings, reported, reporter, self._moment),
            measurer=measurer,
            reported=reported,
            reporter=reporter,
            inventory=self._inventory,
            files=files,
        )

    @property
    def registered(self) -> bool:
        """Say whether the control plane has told this agent its whole state."""
        return self._cursor.position is not None

    def register(self) -> None:
        """Ask the control plane for the whole state of this agent."""
        self._is_again = self.registered
        self._cursor.ask()
        if self._outbox.send(*self.registration.ask(self._moment())):
            self.registration.sent()
        self._make_up_for_losses()

    def register_again(self) -> None:
        """Register, because the broker is back, if the broker did not take the last message of this agent."""
        if self._outbox.is_cut_off and not self.registration.ended:
            self.register()

    def beat(self) -> None:
        """Report that this agent works. Before it is registered, its registration says so."""
        if self.registered:
            self._outbox.send(reports.Heartbeat(hostname=self.hostname))

    def _ask(self, server_id: str, nonce: str) -> bool:
        """Ask for the reference of another node's server; say whether that was possible. For any thread."""
        return self._send_at_once(reports.Wanted(hostname=self.hostname, server_id=server_id, nonce=nonce))

    def _send_at_once(self, report: reports.AnyReport) -> bool:
        """Send a report by itself; say whether that was possible. For any thread."""
        return self.registered and self._outbox.send(report)

    def take_at_once(self, message: telling.Message) -> bool:
        """Act on a message that must not wait for the agent's thread; say whether it is of this kind.

        The agent's thread may wait for libvirt, libvirt for the start gate, and the start gate for the
        message. For any thread.
        """
        match message:
            case Inquiry():
                self.set_aside.attempt("told.inquiry", partial(self._departures.take, message))
            case Incoming():
                self.set_aside.attempt("told.incoming", partial(self.expected_servers.take, message))
            case _:
                return False
        return True

    def tick(self) -> None:
        """Sweep; register again where the registration is not answered, and after every ANEW sweeps."""
        self._ticks += 1
        self.set_aside.report_again()
        self._make_up_for_losses()
        if not self.registered or self.registration.waits or self._ticks % ANEW == 0:
            self.register()
        if self.registered:
            self.expected_servers.forget()
            with self._step():
                self._report_node()
                self._signs.answer_all(Cause.SWEEP, sweep=bool(self._signs.is_active))

    def _report_node(self) -> None:
        """Report the start gate, the servers, the firmware and the software; carry out open orders."""
        self.enforcement.check_gate()
        self._inventory.report()
        self._firmware.report()
        self._software.report()
        self._signs.seal()

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """Send all reports that a block makes together."""
        yield
        self._outbox.flush()
        self._make_up_for_losses()

    def _make_up_for_losses(self) -> None:
        """Register anew, soon, when a report did not reach the broker."""
        if self._outbox.was_cut_off():
            self._cursor.forget()

    def enforce(self) -> None:
        """React to violations; report reactions, objections of the start gate, and migrations that ended."""
        if self.registered:
            with self._step():
                self.enforcement.step()
                if self._departures.any:
                    self._inventory.report(if_news=True)

    def validate_changed(self, changed: set[str | None], certain: Collection[str | None] = ()) -> None:
        """Validate the servers that may have changed; all servers where None is in the set.

        The servers of `certain` have changed, even if they are again as they were.
        """
        if self.registered:
            with self._step():
                self._validate_changed(changed, certain)

    def _validate_changed(self, changed: set[str | None], certain: Collection[str | None]) -> None:
        self._inventory.report(if_news=True)
        if NO_SERVER in changed:
            self._firmware.report()
        if None in changed:
            self._signs.seal()
            if self._signs.is_active is not False:
                self._signs.sweep(Cause.RESCAN)
            return
        for server_id in sorted(one for one in changed if one is not None):
            self._signs.changed(server_id, is_certain=server_id in certain)

    def _moment(self) -> datetime:
        return self._ledger.next_moment(self._clock())

    def unsealed(self, body: bytes) -> telling.Told | None:
        """Return the authority's statement to this node; None where the message is ignored or unreadable."""
        try:
            return self.trust.unsealed(body, self.hostname)
        except telling.ToldUnreadable as unreadable:
            self.set_aside.put(0, "told", unreadable)
            return None

    def receive(self, body: bytes) -> None:
        """Act on a message, if the authority has signed it for this node."""
        told = self.unsealed(body)
        if told is not None:
            self.hear(told.message)

    def hear(self, message: telling.Message) -> None:
        """Act on a message of the control plane; a message that breaks the agent is set aside."""
        kind = type(message).__struct_config__.tag
        self.set_aside.attempt(f"told.{kind}", partial(self._take, message))

    def _take(self, message: telling.Message) -> None:
        match message:
            case Desired():
                with self._step():
                    self._take_over(message)
            case telling.Happened():
                self._hear(message.event)
            case telling.Anew() if self._cursor.needs(message.position):
                self.register()
            case Behind():
                self._catch_up(message)
            case _:
                self.take_at_once(message)

    def _catch_up(self, told: Behind) -> None:
        """Continue after the boot that the control plane heard last, and register with that boot."""
        if self.registration.is_asked(told.answers) and self._outbox.turns.go_beyond(told.boot):
            log.warning("%s: the ledger was put back; it goes on after boot %d", self.hostname, told.boot)
            self.register()

    def _take_over(self, desired: Desired) -> None:
        """Take over the whole state as the control plane has recorded it, then validate all servers."""
        if not self.registration.is_answered_by(desired.answers):
            log.info("%s waits for another answer than that as of %d", self.hostname, desired.position)
            return
        self.registration.answered(desired.answers)
        if self._cursor.is_old(desired.position):
            log.info("%s has heard more than that as of %d", self.hostname, desired.position)
            self.register()
            return
        signers = self.trust.take(desired)
        log.info("%s is node %d, %d signs", self.hostname, desired.node_id, len(desired.assignments))
        later = self._cursor.begin_at(desired.position)
        sweep = not self._is_again or any(map(is_away, desired.assignments))
        before = self._signs.server_ids()
        self._adopt(desired, signers)
        self._report_node()
        self._signs.answer_all(Cause.AGENT_STARTED, sweep=sweep and self._signs.is_active is not False)
        if not sweep:
            self._signs.arrived(before)
        for recorded in later:
            if self._cursor.is_news(recorded):
                self._act_on(recorded)

    def _adopt(self, desired: Desired, signers: Iterable[Ed25519PublicKey]) -> None:
        expected = self.expected_servers.expected()
        self.enforcement.take_over(desired, signers, expected)
        self.expected_servers.begin(self._signs.take_over(desired, signers, expected))
        self._firmware.begin(desired.firmware)
        self._software.begin(desired.software)

    def _hear(self, event: msgspec.Raw) -> None:
        """Act on an event, unless it is older than the state that this agent has."""
        try:
            recorded = cloudevent.parse(bytes(event))
        except codec.EventRefused as refused:
            self._skip(*cloudevent.place_of(bytes(event)), refused)
            return
        if self.registration.has_another_key(recorded.event):
            self._cursor.forget()  # reports under the key before, which are still on their way, are refused
            self.register()
        if self._cursor.is_news(recorded):
            with self._step():
                self._act_on(recorded)

    def _act_on(self, recorded: Recorded) -> None:
        """Act on an event; if that breaks the agent, set the event aside."""
        try:
            self._carry_out(recorded)
        except BROKEN as broken:
            self._skip(recorded.position, recorded.event.topic, broken)

    def _skip(self, position: int, topic: str, why: Exception) -> None:
        """Continue without an event. The agent registers: the answer has the state that the event led to."""
        self.set_aside.put(position, topic, why)
        self.register()

    def _carry_out(self, recorded: Recorded) -> None:
        self.enforcement.hear(recorded)
        match recorded.event:
            case of_node.NodeFirmwareAccepted() as accepted:
                self._firmware.accept(accepted.files)
            case of_node.NodeRemoved() as removed if removed.node_id == self._signs.node_id:
                self.registration.end()
                self._cursor.forget()
            case event:
                self._signs.hear(event)
