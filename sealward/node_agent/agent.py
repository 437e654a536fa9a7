"""The agent of one node: hears orders from the bus and changes from libvirt, works them off one by one."""

from __future__ import annotations

import dataclasses
import logging
import queue
import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.commands import reports
from sealward.events import cloudevent, codec, keys
from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.bus import BusUnavailable, Later, Poison
from sealward.node_agent.hypervisor import Hypervisor, NotMeasured, NotSealed, open_read_only
from sealward.node_agent.ledger import Entry
from sealward.node_agent.references import References
from sealward.node_agent.validator import EQUAL, Order, Validator

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import libvirt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.bus import Bus
    from sealward.node_agent.ledger import Ledger

log = logging.getLogger(__name__)

LOOK_UP: Final = 0.1
"""Seconds after which whoever waits for a job looks whether the agent ends."""
UNHEARD: Final = 5.0
"""Seconds after which an agent that got no answer registers again."""
NODE_WIDE: Final = frozenset(("node-lost", "node-deactivated", "libvirt-gone", "stale"))
"""Reasons of an unknown that a sweep clears without a report for every single server."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often, in seconds, an agent sweeps and says that it is there."""

    sweep: float
    heartbeat: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A domain changed; None: any of them may have."""

    server_id: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message came from the control plane; `done` tells its consumer when it was worked on, and how."""

    body: bytes
    done: futures.Future[None] = field(default_factory=futures.Future)


@dataclass(frozen=True, slots=True)
class Stop:
    """No more work."""


class Agent:
    """Signs what it reports with `key`. Every state it needs comes from the control plane at registration."""

    def __init__(  # noqa: PLR0913 - the one place where an agent's parts meet
        self,
        *,
        key: Ed25519PrivateKey,
        ledger: Ledger,
        bus: Bus,
        uri: str,
        timing: Timing,
        clock: Callable[[], datetime],
        opener: Callable[[str], libvirt.virConnect] = open_read_only,
    ) -> None:
        self.hostname = _hostname(ledger)
        self._key = key
        self._ledger = ledger
        self._bus = bus
        self._timing = timing
        self._jobs: queue.SimpleQueue[Changed | Received | Stop] = queue.SimpleQueue()
        self._hypervisor = Hypervisor(uri, lambda server_id: self._jobs.put(Changed(server_id)), opener)
        self._validator = Validator(
            self._hypervisor, self.hostname, key, lambda: ledger.next_moment(clock()), self._send
        )
        self._references = References(ledger, ())
        self._orders: dict[str, Order] = {}
        self._active: bool | None = None
        self._position: int | None = None
        self._inventory: tuple[tuple[str, str], ...] | None = None
        self._consumer = bus.consumer(reports.queue_of(self.hostname), self._await)
        self._stopped = threading.Event()
        self._worker = threading.Thread(target=self._work, name="agent", daemon=True)
        self._heart = threading.Thread(target=self._beat, name="agent-heart", daemon=True)

    def start(self) -> None:
        """Connect to libvirt, register, and work in the background."""
        self._hypervisor.start()
        self._consumer.start()
        self._register()
        self._worker.start()
        self._heart.start()

    def stop(self) -> None:
        """Finish the job at hand, then end."""
        self._stopped.set()
        self._consumer.stop()
        self._jobs.put(Stop())
        if self._worker.is_alive():
            self._worker.join(10)
        if self._heart.is_alive():
            self._heart.join(10)
        self._hypervisor.close()

    def _await(self, body: bytes) -> None:
        """Have a message worked on between the other jobs. Raises Poison, and Later when this agent ends."""
        received = Received(body)
        self._jobs.put(received)
        while not futures.wait([received.done], LOOK_UP).done:
            if self._stopped.is_set():
                raise Later("the agent ends")
        received.done.result()

    def _beat(self) -> None:
        while not self._stopped.wait(self._timing.heartbeat):
            self._send(reports.Heartbeat(hostname=self.hostname))

    def _work(self) -> None:
        ticked = time.monotonic()
        while True:
            due = ticked + (UNHEARD if self._position is None else self._timing.sweep)
            batch = self._next_jobs(due)
            if any(isinstance(job, Stop) for job in batch):
                return
            self._carry_out(batch)
            if time.monotonic() >= due:
                self._tick()
                ticked = time.monotonic()

    def _next_jobs(self, due: float) -> list[Changed | Received | Stop]:
        """Wait for work until `due`; return all that there is, so that a burst of changes is one job."""
        batch: list[Changed | Received | Stop] = []
        try:
            batch.append(self._jobs.get(timeout=max(0.0, due - time.monotonic())))
            while True:
                batch.append(self._jobs.get_nowait())
        except queue.Empty:
            return batch

    def _carry_out(self, batch: list[Changed | Received | Stop]) -> None:
        for job in batch:
            if isinstance(job, Received):
                self._receive(job)
        changed = {job.server_id for job in batch if isinstance(job, Changed)}
        if changed and self._position is not None:
            self._look_at(changed)

    def _tick(self) -> None:
        if self._position is None:
            self._register()
            return
        self._report_inventory()
        self._seal_what_waits()
        if self._active:
            self._sweep("sweep", None)

    def _register(self) -> None:
        pem = keys.public_pem(self._key.public_key())
        self._send(reports.Registration(hostname=self.hostname, public_key=pem))

    def _send(self, report: reports.AnyReport) -> None:
        """Report; what could not be sent is made up for by registering anew."""
        try:
            self._bus.submit(reports.INBOX, reports.seal(report, self._key))
        except BusUnavailable as away:
            log.warning("%s: the broker is away: %s", self.hostname, away)
            self._position = None

    def _look_at(self, changed: set[str | None]) -> None:
        """Look at the domains that changed; at all of them when nobody knows which."""
        self._report_inventory()
        if None in changed:
            self._seal_what_waits()
            if self._active is not False:
                self._sweep("rescan", None)
            return
        for server_id in sorted(one for one in changed if one is not None):
            order = self._orders.get(server_id)
            if order is not None and not order.sent:
                self._seal(order)
            reference = self._references.get(server_id)
            if reference is not None and self._active is not False:
                self._validator.validate(reference, "domain-changed")

    def _report_inventory(self) -> None:
        """Report which servers are here when that is news."""
        try:
            servers = tuple(self._hypervisor.servers())
        except NotMeasured:
            return
        if servers != self._inventory:
            self._send(reports.Inventory(hostname=self.hostname, instances=servers))
            self._inventory = servers

    def _seal_what_waits(self) -> None:
        for order in tuple(self._orders.values()):
            if not order.sent:
                self._seal(order)

    def _seal(self, order: Order) -> None:
        """Measure for a new reference; what was sent waits for its seal, what could not be is tried again."""
        self._orders[order.server_id] = dataclasses.replace(order, sent=self._validator.seal(order))

    def _sweep(self, cause: str, task_id: str | None) -> None:
        self._validator.sweep(self._references, self._unsigned(), cause, task_id)

    def _unsigned(self) -> int:
        known = self._inventory or ()
        return sum(1 for server_id, _ in known if server_id not in self._references)

    def _receive(self, received: Received) -> None:
        try:
            self._act_on(received.body)
        except Exception as broken:  # noqa: BLE001 - one bad message must not end the agent: it is buried
            received.done.set_exception(broken)
        else:
            received.done.set_result(None)

    def _act_on(self, body: bytes) -> None:
        """Act on what the control plane says. Raises Poison."""
        try:
            desired = msgspec.json.decode(body, type=reports.Desired)
        except msgspec.ValidationError:
            self._hear(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as unreadable:
            raise Poison("message.malformed", str(unreadable)) from unreadable
        else:
            self._take_over(desired)

    def _take_over(self, desired: reports.Desired) -> None:
        """Take over the whole state that the control plane wants, then look at everything."""
        log.info("%s is node %d, %d signs", self.hostname, desired.node_id, len(desired.assignments))
        self._validator.node_id = desired.node_id
        self._position = desired.position
        self._active = desired.active
        signers = (self._key.public_key(), keys.public_key(desired.authority))
        self._references = References(self._ledger, signers)
        self._references.replace_all(
            Entry(one.server_id, one.sign_id, one.sealed, one.envelope)
            for one in desired.assignments
            if one.envelope is not None
        )
        self._validator.said = {one.server_id: EQUAL for one in desired.assignments if _is_as_sealed(one)}
        tasks = {
            duty.server_id: duty.task_id for duty in desired.duties if duty.action in ("create", "update")
        }
        self._orders = {
            one.server_id: Order(one.server_id, one.sign_id, one.ordered, tasks.get(one.server_id))
            for one in desired.assignments
            if one.ordered > one.sealed
        }
        self._inventory = None
        self._report_inventory()
        self._seal_what_waits()
        self._do_duties(desired.duties)

    def _do_duties(self, duties: tuple[reports.Duty, ...]) -> None:
        """Do what was ordered while this agent was away; look at everything in any case."""
        for duty in duties:
            if duty.action == "validate" and duty.server_id is not None:
                self._validate(duty.server_id, duty.task_id)
        switch = next((duty.task_id for duty in duties if duty.server_id is None), None)
        if self._active is False:
            if switch is not None:
                self._withhold_all(switch)
        else:
            self._sweep("node-activated" if switch else "agent-started", switch)

    def _hear(self, body: bytes) -> None:
        """Act on an event, unless it is older than what this agent knows already."""
        try:
            recorded = cloudevent.parse(body)
        except codec.EventRefused as refused:
            raise Poison(refused.code, str(refused)) from refused
        if self._position is None or recorded.position <= self._position:
            return
        self._position = recorded.position
        event = recorded.event
        match event:
            case of_sign.SignEvent():
                self._hear_of_sign(event)
            case of_node.NodeActivated():
                self._active = True
                self._sweep("node-activated", event.task_id)
            case of_node.NodeDeactivated():
                self._active = False
                self._withhold_all(event.task_id)

    def _withhold_all(self, task_id: str | None) -> None:
        self._validator.withhold_all(self._references, self._unsigned(), "node-deactivated", task_id)

    def _hear_of_sign(self, event: of_sign.SignEvent) -> None:
        match event:
            case of_sign.SignCreated() | of_sign.SignUpdated():
                self._seal(Order(event.server_id, event.sign_id, event.generation, event.task_id))
            case of_sign.SignSealed():
                self._sealed(event)
            case of_sign.SignValidationRequested():
                self._validate(event.server_id, event.task_id)
            case of_sign.SignRevoked():
                self._orders.pop(event.server_id, None)
                self._references.remove(event.server_id)
                self._validator.said.pop(event.server_id, None)

    def _validate(self, server_id: str, task_id: str | None) -> None:
        """Validate because it was asked for."""
        reference = self._references.get(server_id)
        if reference is None:
            self._validator.refuse(server_id, NotSealed(), "requested", task_id)
        else:
            self._validator.validate(reference, "requested", task_id)

    def _sealed(self, event: of_sign.SignSealed) -> None:
        """Take the new reference, and look again: the server may have changed since it was measured."""
        order = self._orders.get(event.server_id)
        if order is not None and order.generation <= event.generation:
            del self._orders[event.server_id]
        self._references.put(event.server_id, event.sign_id, event.generation, event.envelope)
        self._validator.said[event.server_id] = EQUAL
        reference = self._references.get(event.server_id)
        if reference is not None and self._active is not False:
            self._validator.validate(reference, "domain-changed")


def _is_as_sealed(assignment: reports.Assignment) -> bool:
    """Say whether finding the server equal would be no news."""
    return assignment.is_valid == "true" or (
        assignment.is_valid == "unknown" and NODE_WIDE.issuperset(assignment.reasons)
    )


def _hostname(ledger: Ledger) -> str:
    """Return the name this node registered under: it stays when the machine is renamed."""
    name = ledger.fact("hostname")
    if name is None:
        name = socket.gethostname()
        ledger.keep_fact("hostname", name)
    return name
