"""The agent of one node, step by step: what it does about a message, a change, and the time that goes by."""

from __future__ import annotations

import dataclasses
import logging
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.commands import reports
from sealward.events import cloudevent, codec, keys
from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.bus import BusUnavailable, Poison
from sealward.node_agent.files.measurer import NO_SERVER
from sealward.node_agent.hypervisor import NotSealed
from sealward.node_agent.ledger import Entry
from sealward.node_agent.not_measured import NotMeasured
from sealward.node_agent.references import References
from sealward.node_agent.validator import EQUAL, Order, Validator

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.node_agent.files.firmware import Firmware
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.hypervisor import Hypervisor
    from sealward.node_agent.ledger import Ledger

log = logging.getLogger(__name__)

NODE_WIDE: Final = frozenset(("node-lost", "node-deactivated", "libvirt-gone", "stale"))
"""Reasons of an unknown that a sweep clears without a report for every single server."""


class Agent:
    """Signs what it reports with `key`. Every state it needs comes from the control plane at registration.

    `submit` takes a report's bytes to the control plane, or raises BusUnavailable.
    For one thread; `beat` for any.
    """

    def __init__(  # noqa: PLR0913 - one argument for each part
        self,
        *,
        key: Ed25519PrivateKey,
        ledger: Ledger,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        firmware: Firmware,
        submit: Callable[[bytes], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.hostname = _hostname(ledger)
        self._key = key
        self._ledger = ledger
        self._hypervisor = hypervisor
        self._files = files
        self._firmware = firmware
        self._said_firmware: dict[str, str] | None = None
        self._submit = submit
        self._validator = Validator(
            hypervisor,
            files,
            hostname=self.hostname,
            key=key,
            moment=lambda: ledger.next_moment(clock()),
            send=self._send,
        )
        self._references = References(ledger, ())
        self._orders: dict[str, Order] = {}
        self._asked: dict[str, list[str]] = {}
        """By server the tasks whose validation waits for files to be measured."""
        self._active: bool | None = None
        self._position: int | None = None
        self._inventory: tuple[tuple[str, str], ...] | None = None

    @property
    def registered(self) -> bool:
        """Say whether the control plane has told this agent what it has to know."""
        return self._position is not None

    def register(self) -> None:
        """Ask the control plane for everything that this agent has to know."""
        pem = keys.public_pem(self._key.public_key())
        self._send(reports.Registration(hostname=self.hostname, public_key=pem))

    def beat(self) -> None:
        """Say that this agent is there."""
        self._send(reports.Heartbeat(hostname=self.hostname))

    def tick(self) -> None:
        """Look at everything because it is time to; without an answer to its registration, register again."""
        if self._position is None:
            self.register()
            return
        self._report_inventory()
        self._report_firmware()
        self._seal_what_waits()
        if self._active:
            self._sweep("sweep", None)

    def _send(self, report: reports.AnyReport) -> None:
        """Report; what could not be sent is made up for by registering anew."""
        try:
            self._submit(reports.seal(report, self._key))
        except BusUnavailable as away:
            log.warning("%s: the broker is away: %s", self.hostname, away)
            self._position = None

    def look_at(self, changed: set[str | None]) -> None:
        """Look at the domains that changed; at all of them, None, when nobody knows which."""
        if self._position is None:
            return
        self._report_inventory()
        if NO_SERVER in changed:
            self._report_firmware()
        if None in changed:
            self._seal_what_waits()
            if self._active is not False:
                self._sweep("rescan", None)
            return
        for server_id in sorted(one for one in changed if one is not None):
            order = self._orders.get(server_id)
            if order is not None and not order.sent:
                self._seal(order)
            for task_id in self._asked.pop(server_id, ()):
                self._validate(server_id, task_id)
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

    def _report_firmware(self) -> None:
        """Report which firmware files are here when that is news."""
        found = self._firmware.measure()
        if found is not None and found != self._said_firmware:
            self._send(reports.Firmware(hostname=self.hostname, files=found))
            self._said_firmware = found

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

    def receive(self, body: bytes) -> None:
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
        self._asked = {}
        self._firmware.accept(desired.firmware)
        self._said_firmware = None
        self._inventory = None
        self._report_inventory()
        self._report_firmware()
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
            case of_node.NodeFirmwareAccepted():
                self._firmware.accept(event.files)
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
                self._asked.pop(event.server_id, None)
                self._files.forget(event.server_id)
                self._references.remove(event.server_id)
                self._validator.said.pop(event.server_id, None)

    def _validate(self, server_id: str, task_id: str | None) -> None:
        """Validate because it was asked for."""
        reference = self._references.get(server_id)
        if reference is None:
            self._validator.refuse(server_id, NotSealed(), "requested", task_id)
        elif not self._validator.validate(reference, "requested", task_id) and task_id is not None:
            self._asked.setdefault(server_id, []).append(task_id)

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
