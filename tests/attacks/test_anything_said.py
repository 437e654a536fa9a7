"""A node and a Celery client say anything at all: it is refused, and nothing stands still.

The attacker has all that is a node's own: its broker user, its key, its turn. Store, broker, intake, relay
and projections are the real ones, in a worker of its own. After each flood an honest node is heard, and
relay and projections stand at the head of the log.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
from amounts import examples
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import until

from sealward.commands.context import RequestContext
from sealward.commands.messages import AdmitNode
from sealward.control.database import ControlPosition
from sealward.control_plane import Core
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.permissions import of_node, user_of
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import keys
from sealward.events.store.postgres import migrate
from sealward.intake.orders import TASK
from sealward.protocol import codec, reports
from sealward.protocol.queues import inbox_of
from sealward.settings import Settings
from stack.postgres import Postgres
from stack.processes import end, start, wait_until
from stack.rabbitmq import RabbitMQ

ORDERS = "sealward.orders"
FLOOD = 40
SERVER = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"
NOW = "2026-01-02T12:00:00Z"
PATIENCE = 60.0

texts = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "\0",
        "\x1b[2J",
        "\ud7ff",
        "é" * 300,
        "x" * 70_000,
        SERVER,
        "kvm-evil",
        "kvm-honest",
        NOW,
        "1-9",
        "sealed",
    ]
)
"""Text without lone surrogates: JSON in bytes has none."""
long = st.builds(str.__mul__, st.sampled_from(["x", "é", "\U0001f4a9"]), st.sampled_from([300, 70_000]))
numbers = st.integers() | st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**63, 2**64, 10**400]) | st.floats()
scalars = st.none() | st.booleans() | numbers | texts | long
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
FINDING = {"section": "disks", "xpath": "/domain", "signed": "a", "found": None, "form": "config"}
FINE: dict[str, dict[str, Any]] = {
    "registration": {"public_key": "", "nonce": "n"},
    "heartbeat": {},
    "software": {"version": "0.2.0", "profile": "libvirt-domain/3", "hypervisor": "libvirt 9.0.0"},
    "inventory": {"instances": [[SERVER, "instance-1"]], "taken_at": NOW, "running": [SERVER], "leaving": []},
    "firmware": {"files": {"/a": "ab" * 32}},
    "measurement": {"server_id": SERVER, "envelope": {}, "cause": "sweep", "findings": [FINDING]},
    "failure": {
        "server_id": SERVER,
        "sign_id": 1,
        "reason": "file-missing",
        "failed_at": NOW,
        "cause": "sweep",
    },
    "sweep": {
        "cause": "sweep",
        "started_at": NOW,
        "vouched": "1",
        "withheld": [{"reason": "file-missing", "sign_ids": "2"}],
        "counts": {"true": 1},
        "digest": "ab" * 32,
    },
    "enforcement": {"state": "active", "reason": None},
    "objection": {
        "id": "o1",
        "server_id": SERVER,
        "instance_name": "instance-1",
        "decided_at": NOW,
        "reason": "unsigned",
        "refused": True,
        "findings": [FINDING],
    },
    "reaction": {
        "id": "r1",
        "server_id": SERVER,
        "generation": 1,
        "action": "shutdown",
        "outcome": "done",
        "taken_at": NOW,
    },
    "progress": {"readings": [{"server_id": SERVER, "bytes_done": 1, "bytes_total": 2}]},
    "set-aside": {"position": 1, "about": "sign.created", "reason": "event.unfit", "detail": "why"},
    "wanted": {"server_id": SERVER},
    "leaving": {"server_id": SERVER, "nonce": "n", "is_leaving": True},
    "reports": {"reports": [{"kind": "heartbeat", "hostname": "kvm-evil"}]},
}
"""What a node may say, by kind: each field is then put out of shape by itself."""


def test_every_kind_of_report_is_put_out_of_shape() -> None:
    """A kind that comes later is to be added to what is tried here."""
    kinds = {one.__struct_config__.tag for one in (*reports.AnyReport.__args__, reports.Bundle)}
    assert set(FINE) == kinds


@st.composite
def bent(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a report of some kind with some of its fields replaced, left out or added."""
    kind = draw(st.sampled_from(sorted(FINE)))
    report: dict[str, Any] = {"kind": kind, "hostname": "kvm-evil", **FINE[kind]}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(report)) | texts)
        report[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(sorted(report)), max_size=1)):
        del report[name]
    return report


def encoded(value: Any) -> bytes:  # noqa: ANN401 - it is any JSON value, and some that is none
    """Return JSON as Python writes it: NaN and Infinity included, which no standard reader takes."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


tables = st.dictionaries(
    st.text(max_size=20).filter(lambda one: len(one.encode("utf-8", "replace")) < 200),
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=40),
    max_size=4,
)


def inbox(hostname: str) -> str:
    """Return the name of the exchange that a node alone writes to."""
    return f"sealward.{inbox_of(hostname)}"


@dataclass
class Plane:
    """A control plane over real servers, and two nodes: `evil` says anything, `honest` a heartbeat."""

    core: Core
    url: str
    worker: subprocess.Popen[bytes]
    log: Path
    evil: Ed25519PrivateKey
    honest: Ed25519PrivateKey
    seqs: dict[str, int] = field(default_factory=dict)

    def turn(self, hostname: str) -> tuple[int, int]:
        """Return the next turn of a node."""
        self.seqs[hostname] = self.seqs.get(hostname, 0) + 1
        return 1, self.seqs[hostname]

    def sealed(self, report: dict[str, Any]) -> bytes:
        """Return what the evil node says, in its turn, signed by its key."""
        boot, seq = self.turn("kvm-evil")
        text = encoded({"boot": boot, "seq": seq} | report)
        envelope = envelopes.sign(envelopes.Envelope(text, codec.PAYLOAD_TYPE), self.evil)
        return json.dumps(envelope.to_json()).encode()

    @contextlib.contextmanager
    def channel(self, user: str) -> Iterator[Any]:
        """Yield a channel of a user of the broker, with confirms."""
        parameters = pika.URLParameters(self.url.replace("guest:guest", f"{user}:{user}"))
        connection = pika.BlockingConnection(parameters)
        try:
            made = connection.channel()
            made.confirm_delivery()
            yield made
        finally:
            with contextlib.suppress(pika.exceptions.AMQPError):
                connection.close()

    def say(self, *bodies: bytes, properties: pika.BasicProperties | None = None) -> None:
        """Publish as the evil node's user."""
        sent = properties or pika.BasicProperties(content_type="application/json")
        sent.user_id = user_of("kvm-evil")
        with self.channel(user_of("kvm-evil")) as channel:
            for one in bodies:
                channel.basic_publish(inbox("kvm-evil"), inbox("kvm-evil"), one, sent)

    def has_inboxes(self, *hostnames: str) -> bool:
        """Say whether the control plane has made the inboxes of nodes."""
        try:
            with self.channel("guest") as channel:
                for one in hostnames:
                    channel.queue_declare(inbox(one), passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    def order(self, body: bytes, headers: dict[str, Any]) -> None:
        """Publish as a Celery client."""
        with self.channel("guest") as channel:
            channel.basic_publish(ORDERS, ORDERS, body, pika.BasicProperties(headers=headers))

    def nothing_stands_still(self) -> None:
        """The honest node is heard, and all followers of the log stand at its head."""
        assert self.worker.poll() is None, self.log.read_text(errors="replace")[-2000:]
        since = datetime.now(UTC)
        boot, seq = self.turn("kvm-honest")
        said = reports.Heartbeat(hostname="kvm-honest", boot=boot, seq=seq)
        sender = pika.BasicProperties(user_id=user_of("kvm-honest"))
        with self.channel(user_of("kvm-honest")) as channel:
            channel.basic_publish(
                inbox("kvm-honest"), inbox("kvm-honest"), codec.seal(said, self.honest), sender
            )
        until(lambda: self.core.leases.seen().get("kvm-honest", since) > since, PATIENCE)
        head = self.core.store.head()
        until(lambda: self.core.projections.position_now() >= head, PATIENCE)
        until(lambda: ControlPosition(self.core.control, "relay").load() >= head, PATIENCE)


@pytest.fixture(scope="module")
def plane(
    postgres_server: Postgres, rabbitmq_server: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    """Yield a running control plane that knows both nodes."""
    database = postgres_server.create(f"t{uuid.uuid4().hex}")
    migrate(database)
    ctl = rabbitmq_server.ctl
    ctl("add_vhost", "anything")
    ctl("set_permissions", "-p", "anything", "guest", ".*", ".*", ".*")
    for hostname in ("kvm-evil", "kvm-honest"):
        user, may = user_of(hostname), of_node(hostname)
        ctl("add_user", user, user)
        ctl("set_permissions", "-p", "anything", user, may.configure, may.write, may.read)
    url = rabbitmq_server.url.replace("%2F", "anything")
    names = {
        "DATABASE_URL": database,
        "BROKER_URL": url,
        "DATA_DIR": str(tmp_path_factory.mktemp("anything")),
    }
    environment = {f"SEALWARD_{name}": value for name, value in names.items()}
    log = tmp_path_factory.mktemp("worker") / "log"
    worker = start([sys.executable, "-u", "-m", "sealward", "worker"], log, environment)
    wait_until(lambda: "the worker works" in log.read_text(errors="replace"), worker, log, PATIENCE)
    core = Core(Settings.from_env(environment), seals=False)
    made = Plane(core, url, worker, log, Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
    for hostname, key in (("kvm-evil", made.evil), ("kvm-honest", made.honest)):
        pem = keys.public_pem(key.public_key())
        core.handler.handle(
            AdmitNode(context=RequestContext(actor="user:admin"), hostname=hostname, public_key=pem)
        )
    until(lambda: made.has_inboxes("kvm-evil", "kvm-honest"), PATIENCE)
    FINE["registration"]["public_key"] = keys.public_pem(made.evil.public_key())
    yield made
    end(worker)
    core.close()
    postgres_server.drop(database.rpartition("/")[2].partition("?")[0])


few = settings(
    max_examples=examples(15),
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


@few
@given(said=st.lists(bent(), min_size=1, max_size=FLOOD))
def test_reports_out_of_shape(plane: Plane, said: list[dict[str, Any]]) -> None:
    """Every field of every kind of report, validly signed and in its turn."""
    plane.say(*[plane.sealed(one) for one in said])
    plane.nothing_stands_still()


@few
@given(said=st.lists(values, min_size=1, max_size=FLOOD))
def test_envelopes_of_anything(plane: Plane, said: list[Any]) -> None:
    """Validly signed, and no report at all."""
    bodies = []
    for one in said:
        envelope = envelopes.sign(envelopes.Envelope(encoded(one), codec.PAYLOAD_TYPE), plane.evil)
        bodies.append(json.dumps(envelope.to_json()).encode())
    plane.say(*bodies)
    plane.nothing_stands_still()


@few
@given(
    bodies=st.lists(st.binary(max_size=2000) | values.map(encoded), min_size=1, max_size=FLOOD),
    headers=tables,
)
def test_messages_of_anything(plane: Plane, bodies: list[bytes], headers: dict[str, Any]) -> None:
    """Bytes that nobody signed, with odd headers and encodings."""
    odd = pika.BasicProperties(
        content_type="application/x-python-serialize",
        content_encoding="gzip",
        headers=headers,
        correlation_id="c",
        priority=9,
        expiration="60000",
        type="\x1b[2J",
    )
    plane.say(*bodies, properties=odd)
    plane.nothing_stands_still()


@few
@given(args=values, kwargs=values, headers=tables, task_id=texts)
def test_orders_of_anything(
    plane: Plane,
    args: Any,  # noqa: ANN401 - any JSON value
    kwargs: Any,  # noqa: ANN401 - as above
    headers: dict[str, Any],
    task_id: str,
) -> None:
    """Celery's messages with any arguments, task ids and headers."""
    plane.order(encoded([args, kwargs, {}]), {"task": TASK, "id": task_id} | headers)
    plane.order(encoded([[], {"node_id": args, "action": "activate"}, {}]), {"task": TASK, "id": task_id})
    plane.order(
        encoded([[1, "activate"], {}, {}]), {"task": TASK, "id": task_id[:100], "expires": "x"} | headers
    )
    plane.nothing_stands_still()


def test_none_of_it_broke_a_reader(plane: Plane) -> None:
    """What is set aside is set aside for a reason that somebody has thought of."""
    plane.say(b"the last word")
    plane.nothing_stands_still()
    with DeadLetters(plane.url) as dead:
        assert "bus.reader-broken" not in {one.reason for one in dead.all()}
