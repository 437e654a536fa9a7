"""Wires the control plane by its settings: `Core` answers requests, `Worker` works in the background."""

from __future__ import annotations

import functools
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sealward.commands.writer.handler import Handler
from sealward.control.checkpoints import Checkpoints
from sealward.control.database import ControlPosition
from sealward.control.hindrances import Hindrances
from sealward.control.leases import Leases
from sealward.control.monitoring import Monitor
from sealward.control.notary import Notary
from sealward.control.progress import Progress
from sealward.control.set_aside import CELERY, DECISIONS, RELAY, TELLER, SetAside
from sealward.control.tokens import Tokens
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.control.untold import Untold
from sealward.control.webhooks.courier import Courier
from sealward.control.webhooks.destination import Networks
from sealward.control.webhooks.webhooks import Webhooks
from sealward.events import set_aside as aside
from sealward.events.base import utc_now
from sealward.events.bus.inboxes import Inboxes
from sealward.events.bus.node_queues import BusQueues
from sealward.events.bus.relay import BusPublisher, FromNow, Relay
from sealward.events.bus.tls import Tls
from sealward.events.signing import keys
from sealward.events.signing.keyid import keyid
from sealward.events.store.leader import Alone
from sealward.events.tlog.note import is_name
from sealward.http.app import create_app
from sealward.http.auth.chosen import access_rules, identify
from sealward.http.limits.limits import Limits
from sealward.http.listening.traffic import Traffic
from sealward.http.services import Services
from sealward.intake import orders
from sealward.intake.clients import Clients
from sealward.intake.intake import Intake
from sealward.intake.lease_keeper import LeaseKeeper
from sealward.intake.order_queries import OrderQueries
from sealward.intake.orders import Orders
from sealward.intake.registration.addresses import Addresses
from sealward.intake.reports import hosts
from sealward.intake.reports.activity import NodeActivity
from sealward.intake.reports.locations import Locations
from sealward.intake.reports.senders import Senders
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.assignments import Assignments, AuthorityKeys
from sealward.intake.telling.notes import Notes
from sealward.intake.telling.reminders import Reminders
from sealward.intake.telling.teller import Teller
from sealward.intake.telling.voice import Voice
from sealward.projections.celery_events import CeleryEvents
from sealward.projections.past import Past
from sealward.projections.store.runner import Runner
from sealward.protocol.queues import INBOX
from sealward.settings import SettingRefused
from sealward.storage import Files, storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    import falcon
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.bus.bus import Bus
    from sealward.events.bus.node_queues import NodeQueues
    from sealward.events.bus.relay import KeptPosition
    from sealward.events.store.leader import Leader
    from sealward.settings import Settings
    from sealward.storage import Storage


def monitor(found: Storage, settings: Settings, clock: Callable[[], datetime] = utc_now) -> Monitor:
    """Return the monitor of the control plane. Only with PostgreSQL is there a relay that can be behind."""
    relay = None if settings.database_url is None else ControlPosition(found.control, "relay").load
    lease, quiet = timedelta(seconds=settings.lease), timedelta(seconds=settings.quiet_after)
    unproven = Unproven(found.control, clock)
    leases = Leases(found.control)
    return Monitor(
        found.store,
        found.projections,
        leases,
        relay,
        lease,
        quiet,
        clock,
        unproven,
        SetAside(found.control, clock),
        Checkpoints(found.control),
    )


class Core:
    """The parts that each process of the control plane has: databases, command handler, WSGI application.

    Without `seals` the process does not need the authority's key, and seals nothing.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = utc_now, *, seals: bool = True
    ) -> None:
        self._storage = storage(settings)
        self.store = self._storage.store
        self.projections = self._storage.projections
        self.control = self._storage.control
        self.leases = Leases(self.control)
        self.progress = Progress(self.control)
        self.authority = None
        if seals:
            self.authority = _authority(settings)
        self.handler = Handler(
            self.store,
            self.authority,
            clock=clock,
            fresh_for=timedelta(seconds=settings.fresh_for),
            set_aside=SetAside(self.control, clock).of(DECISIONS) if seals else aside.only_said,
        )
        self.tokens = Tokens(self.control, clock, settings.admin_token)
        self._past = Past(self.store)
        self.traffic = Traffic()
        self._settings = settings
        self._clock = clock
        self.closing = threading.Event()

    @property
    def authority_pem(self) -> str | None:
        """Return the authority's public key (PEM); None in a process without the authority's key."""
        return None if self.authority is None else keys.public_pem(self.authority.public_key())

    @functools.cached_property
    def services(self) -> Services:
        """Return the parts of other rooms that the API's resources use.

        Raises SettingRefused and AccessRulesRefused.
        """
        serving = self._settings.serving
        return Services(
            self.store,
            self.handler,
            self.projections,
            self.leases,
            self.progress,
            identify(self._settings, self.tokens),
            access_rules(self._settings),
            self._clock,
            self._settings.wait,
            self._past,
            monitor(self._storage, self._settings, self._clock),
            Limits(serving.limits, self.traffic),
            self.traffic,
            Checkpoints(self.control),
            Webhooks(self.control),
            Networks(self._settings.webhook_networks),
            serving.public_url or "",
            self._settings.metrics == "public",
            self.closing,
        )

    @functools.cached_property
    def app(self) -> falcon.App[Any, Any]:
        """Return the WSGI application. Raises SettingRefused, AccessRulesRefused."""
        return create_app(self.services)

    def close(self) -> None:
        """Close all databases."""
        self._past.close()
        self._storage.close()


def _authority(settings: Settings) -> Ed25519PrivateKey:
    """Return the authority's key. A key file that the settings name is never made: all workers share it."""
    own = Files(settings.data_dir).authority
    if settings.authority_key is not None and not settings.authority_key.exists():
        message = f"{settings.authority_key}: no such file; `openssl genpkey -algorithm ed25519` makes a key"
        raise keys.KeyRefused(message)
    key = keys.private_key(settings.authority_key or own)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys.publish(key.public_key(), own.with_suffix(".pub"))
    return key


def _log_key(settings: Settings) -> Ed25519PrivateKey | None:
    """Return the key that signs checkpoints. Workers over one database share a key that the settings name."""
    if settings.log_key is None and settings.database_url is not None:
        return None
    return keys.private_key(settings.log_key or Files(settings.data_dir).log_key)


def _notary(core: Core, settings: Settings, key: Ed25519PrivateKey, clock: Callable[[], datetime]) -> Notary:
    origin = settings.log_origin or f"sealward/{keyid(key.public_key())[:16]}"
    if not is_name(origin):
        raise SettingRefused("SEALWARD_LOG_ORIGIN takes a name without spaces and plus signs")
    return Notary(
        core.store,
        core.projections,
        Checkpoints(core.control),
        origin,
        key,
        clock,
        _leader(settings, "notary"),
    )


def _courier(core: Core, settings: Settings, clock: Callable[[], datetime]) -> Courier:
    webhooks, networks = Webhooks(core.control), Networks(settings.webhook_networks)
    return Courier(core.store, webhooks, networks, clock, random.random, _leader(settings, "courier"))


class Worker:
    """Projections, relay, intake of reports, leases. Each role is led by one of any number of workers."""

    def __init__(
        self, core: Core, settings: Settings, bus: Bus, clock: Callable[[], datetime] = utc_now
    ) -> None:
        kept = SetAside(core.control, clock)
        celery = CeleryEvents(bus, core.projections, settings.heartbeat, clock, kept.of(CELERY))
        if core.authority is None or core.authority_pem is None:
            raise ValueError("who assigns must know the authority")
        authority = AuthorityKeys(
            core.authority_pem,
            _public_keys(settings.authority_beside),
            _public_keys(settings.authority_earlier),
        )
        desired = Assignments(core.store, core.projections, authority, settings.wait, clock)
        voice = Voice(core.authority)
        answers = Answers(desired.of, _queues(settings, bus), voice)
        notes = Notes(_queues(settings, bus), voice)
        untold = Untold(core.control)

        intake = Intake(
            core.handler,
            NodeActivity(core.leases, core.progress, kept, celery, clock),
            clock,
            answers=answers,
            notes=notes,
            locations=Locations(core.projections),
            assignments=desired,
            senders=Senders(bus.user),
            turns=LastTurns(core.control),
            unproven=Unproven(core.control, clock),
            only_invited=settings.registration == "invited" and settings.broker_url is not None,
            nonce=lambda: secrets.token_hex(16),
        )
        lease = timedelta(seconds=settings.lease)
        self._parts: list[Part] = [
            Runner(core.store, core.projections, _leader(settings, "projections")),
            _inboxes(core, settings, bus, intake),
            _clients(core, settings, bus, clock),
            answers,
            notes,
            _relay(core, settings, bus, kept.of(RELAY)),
            Teller(
                core.store,
                _queues(settings, bus),
                voice,
                kept=_teller_position(core, settings),
                addresses=Addresses(core.projections),
                untold=untold,
                leader=_leader(settings, "teller"),
                set_aside=kept.of(TELLER),
            ),
            Reminders(untold, _queues(settings, bus), voice, leader=_leader(settings, "reminders")),
            Relay(core.store, celery, FromNow(core.store), _leader(settings, "celery")),
            _courier(core, settings, clock),
            LeaseKeeper(core.leases, core.handler, lease, clock),
        ]
        if settings.database_url is not None:
            self._parts.append(Hindrances(core.control))
        key = _log_key(settings)
        if key is not None:
            self._parts.append(_notary(core, settings, key, clock))

    def start(self) -> None:
        """Start all parts in the background."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Stop all parts at the same time: each part notices only now and then that it shall end."""
        with ThreadPoolExecutor(len(self._parts), thread_name_prefix="end") as ending:
            list(ending.map(lambda part: part.stop(), self._parts))


class Part(Protocol):
    """A part of a worker that works in the background."""

    def start(self) -> None:
        """Start to work."""

    def stop(self) -> None:
        """Finish the work at hand, then end."""


def _clients(core: Core, settings: Settings, bus: Bus, clock: Callable[[], datetime]) -> Part:
    """Return the reader of Celery clients' orders. One worker leads it, so that each client has one quota."""
    taken = _orders(core, settings, clock)
    if settings.broker_url is None:
        return bus.inbox_with_headers(orders.INBOX, taken.take)
    clients = Clients(taken, settings.celery_clients, Unproven(core.control, clock))
    return Inboxes(
        bus, clients.take, which=clients.inboxes, rest=clients.rest, leader=_leader(settings, "orders")
    )


def _orders(core: Core, settings: Settings, clock: Callable[[], datetime]) -> Orders:
    return Orders(core.handler, OrderQueries(core.store, core.projections, settings.wait), clock)


def _inboxes(core: Core, settings: Settings, bus: Bus, intake: Intake) -> Part:
    """Return the reader of nodes' reports.

    At a broker each host has an inbox of its own; agents of earlier versions and uninvited hosts share one
    inbox. On the bus in the process all agents share one inbox.
    """
    if settings.broker_url is None:
        return bus.inbox_in_batches(INBOX, intake.take)

    which = hosts.Inboxes(core.store, core.projections).all
    return Inboxes(bus, intake.take, which=which, rest=intake.rest, leader=_leader(settings, "intake"))


def _leader(settings: Settings, role: str) -> Leader:
    if settings.database_url is None:
        return Alone()
    from sealward.events.store.postgres_leader import PostgresLeader  # noqa: PLC0415 - SQLite needs no psycopg

    return PostgresLeader(settings.database_url, role)


def _public_keys(path: Path | None) -> tuple[str, ...]:
    """Return the public keys (PEM) in a file that the settings name. Raises KeyRefused."""
    if path is None:
        return ()
    try:
        return keys.public_keys(path.read_text(encoding="ascii"))
    except (OSError, UnicodeError) as unreadable:
        raise keys.KeyRefused(f"{path}: {unreadable}") from unreadable


def _queues(settings: Settings, bus: Bus) -> NodeQueues:
    """Return a connection to the queues of nodes, for one thread."""
    if settings.broker_url is None:
        return BusQueues(bus)
    from sealward.events.bus.amqp_queues import AmqpQueues  # noqa: PLC0415 - as for the relay

    return AmqpQueues(settings.broker_url, Tls.of(settings))


def _teller_position(core: Core, settings: Settings) -> KeptPosition:
    """Return where the teller keeps its position; on the bus in the process it begins at the head."""
    if settings.broker_url is None:
        return FromNow(core.store)
    kept = ControlPosition(core.control, "teller")
    kept.begin(core.store.head())
    return kept


def _relay(core: Core, settings: Settings, bus: Bus, set_aside: aside.SetAside) -> Relay:
    if settings.broker_url is None:
        return Relay(core.store, BusPublisher(bus, set_aside), FromNow(core.store))
    from sealward.events.bus.amqp import AmqpPublisher  # noqa: PLC0415 - the bus in the process needs no pika

    kept = ControlPosition(core.control, "relay")
    publisher = AmqpPublisher(settings.broker_url, Tls.of(settings), set_aside)
    return Relay(core.store, publisher, kept, _leader(settings, "relay"))
