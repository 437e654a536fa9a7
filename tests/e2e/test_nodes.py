"""Nodes and their inventory, and who may speak in the name of a node."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from running import BASTION, DATABASE, WEB, Running, running, until

from sealward.events.base import node_stream, utc_now
from sealward.events.node import NodeReportRefused
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import keys
from sealward.events.signing import statement as statements
from sealward.protocol import codec, reports
from sealward.protocol.queues import INBOX
from sealward.settings import Settings

STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def report(sealward: Running, body: bytes) -> None:
    """Put a message into the queue of the control plane."""
    sealward.embedded._bus.submit(INBOX, body)


def refusals(sealward: Running) -> list[tuple[str, str | None]]:
    """Return (reason, server_id) of every refusal in the node's stream."""
    hostname = sealward.embedded.agent.hostname
    events = sealward.embedded.control_plane.store.read(node_stream(hostname))
    return [(one.reason, one.server_id) for one in events if isinstance(one, NodeReportRefused)]


def sealed(sealward: Running, server_id: str = WEB) -> statements.Statement:
    """Return the statement of the reference in force."""
    answer = sealward.ask("GET", f"/v1/sign/{server_id}/envelope")
    envelope = envelopes.parse(answer.body)
    return statements.parse(envelope.payload, envelope.payload_type)


def node_key(data_dir: Path) -> Ed25519PrivateKey:
    """Return the key of the node."""
    return keys.private_key(data_dir / "node" / "key.pem")


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    """Mode 0600, the same after a restart, and the node keeps its id."""
    with running(tmp_path) as sealward:
        made = [(tmp_path / name).read_bytes() for name in ("authority.pem", "node/key.pem")]
        first = sealward.ask("GET", "/v1/node").json["nodes"]
    with running(tmp_path) as sealward:
        again = [(tmp_path / name).read_bytes() for name in ("authority.pem", "node/key.pem")]
        second = sealward.ask("GET", "/v1/node").json["nodes"]

    assert made == again
    assert [one["id"] for one in first] == [one["id"] for one in second] == [1]
    for name in ("authority.pem", "node/key.pem", "node/ledger.sqlite", "control.sqlite"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_inventory_follows_the_domains(sealward: Running) -> None:
    """A new domain appears, a removed one leaves, and its node is known without being told."""
    known = {one["server_id"] for one in sealward.ask("GET", "/v1/server").json["servers"]}
    new = str(uuid.uuid4())
    xml = sealward.fleet.xml(BASTION).replace(BASTION, new).replace("instance-0000006b", "instance-0000006c")
    sealward.fleet.define(xml)

    def servers() -> set[str]:
        return {one["server_id"] for one in sealward.ask("GET", "/v1/server").json["servers"]}

    until(lambda: servers() == known | {new})
    assert sealward.sign(new)["node_id"] == 1
    sealward.fleet.remove(new)
    until(lambda: servers() == known)


def test_what_is_not_under_control_yet(sealward: Running) -> None:
    """`signed=false` lists it, `signed=true` the rest."""
    sealward.sign()
    signed = sealward.ask("GET", "/v1/server?signed=true").json["servers"]
    unsigned = sealward.ask("GET", "/v1/server?signed=false").json["servers"]

    assert [one["server_id"] for one in signed] == [WEB]
    assert WEB not in {one["server_id"] for one in unsigned}
    assert len(unsigned) == 3


def test_a_report_signed_by_another_key_is_refused_and_counted(sealward: Running) -> None:
    """An attacker who can write to the queue is not the node: its messages are not recorded."""
    sealward.sign()
    forged = reports.Inventory(hostname=sealward.embedded.agent.hostname, instances=(), taken_at=utc_now())
    for _ in range(5):
        report(sealward, codec.seal(forged, STRANGER))
    until(lambda: sealward.dropped() == {("", "envelope.not-verified"): 5})

    assert refusals(sealward) == []
    assert len(sealward.ask("GET", "/v1/server").json["servers"]) == 4


def test_a_hostname_belongs_to_its_key(sealward: Running) -> None:
    """Another key cannot register under it."""
    pem = keys.public_pem(STRANGER.public_key())
    forged = reports.Registration(hostname=sealward.embedded.agent.hostname, public_key=pem, boot=1, seq=1)
    report(sealward, codec.seal(forged, STRANGER))
    until(lambda: sealward.dropped() == {("", "node.hostname-taken"): 1})

    assert refusals(sealward) == []
    sealward.sign()


def test_a_node_reports_on_its_own_servers_alone(sealward: Running) -> None:
    """A registered node with a good key cannot speak of another node's server."""
    sealward.sign()
    statement = sealed(sealward)
    pem = keys.public_pem(STRANGER.public_key())
    other = reports.Registration(hostname="kvm-other", public_key=pem, boot=1, seq=1)
    report(sealward, codec.seal(other, STRANGER))
    until(lambda: len(sealward.ask("GET", "/v1/node").json["nodes"]) == 2)
    later = statement.measured_at + timedelta(seconds=1)
    lie = msgspec.structs.replace(statement, node_id=2, measured_at=later, task_id=None)
    measured = reports.Measurement(
        hostname="kvm-other",
        server_id=WEB,
        envelope=envelopes.sign(lie.envelope(), STRANGER).to_json(),
        cause="sweep",
        boot=1,
        seq=2,
    )
    report(sealward, codec.seal(measured, STRANGER))
    store = sealward.embedded.control_plane.store

    def recorded() -> list[str]:
        events = store.read(node_stream("kvm-other"))
        return [one.reason for one in events if isinstance(one, NodeReportRefused)]

    until(lambda: recorded() == ["report.wrong-node"])


@pytest.mark.parametrize(
    ("field", "reason"), [("future", "report.from-the-future"), ("server", "report.malformed")]
)
def test_a_statement_must_be_about_now_and_about_what_is_reported(
    tmp_path: Path, field: str, reason: str
) -> None:
    """A true from the future would outlive its time; a statement of another server proves nothing."""
    with running(tmp_path) as sealward:
        sealward.sign()
        sealward.sign(DATABASE)
        old = sealed(sealward)
        moment = datetime.now(UTC) + timedelta(hours=1 if field == "future" else 0)
        server_id = WEB if field == "future" else DATABASE
        lie = statements.Statement(server_id, 1, 1, 1, moment, old.measurement, old.evidence)
        key = node_key(tmp_path)
        measured = reports.Measurement(
            hostname=sealward.embedded.agent.hostname,
            server_id=WEB,
            envelope=envelopes.sign(lie.envelope(), key).to_json(),
            cause="sweep",
            boot=9,
            seq=1,
        )
        report(sealward, codec.seal(measured, key))
        until(lambda: bool(refusals(sealward)))

        assert refusals(sealward) == [(reason, WEB)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b'{"payload": "e30=", "payloadType": "x", "signatures": []}',
        b"\xff" * 99,
    ],
)
def test_garbage_on_the_queue_breaks_nothing(shared: Running, body: bytes) -> None:
    """The next report is taken as if nothing had been."""
    report(shared, body)
    shared.ask("DELETE", f"/v1/sign/{WEB}")

    assert shared.sign()["is_valid"] == "true"


def test_the_sealed_envelope_is_signed_by_node_and_authority(tmp_path: Path) -> None:
    """Both keys have signed what GET …/envelope shows, over the measurement's own digest."""
    with running(tmp_path) as sealward:
        sealward.sign()
        envelope = envelopes.parse(sealward.ask("GET", f"/v1/sign/{WEB}/envelope").body)
    signers = [keys.public_key((tmp_path / name).read_bytes()) for name in ("authority.pub", "node/key.pub")]
    payload = envelopes.verify(envelope, signers)

    assert statements.parse(payload, envelope.payload_type).server_id == WEB
    assert len(envelope.signatures) == 2


def test_while_the_store_is_away_a_write_is_503_and_later_all_is_well(tmp_path: Path) -> None:
    """What a node reported meanwhile is not lost: it is asked to report anew."""
    with running(tmp_path, settings=Settings(lease=3)) as sealward:
        sealward.sign()
        disk = f"/var/lib/nova/instances/{WEB}/disk"
        with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            sealward.fleet.replace(WEB, disk, disk + "2")
            answer = sealward.ask("POST", "/v1/sign", {"server_id": DATABASE})
            assert (answer.status, answer.json["error"]["reason"]) == (503, "store.unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert sealward.ask("GET", "/v1/sign").status == 200  # reads go on
            other.execute("ROLLBACK")
        until(lambda: sealward.is_valid() == "false")
        assert sealward.sign(DATABASE)["is_valid"] == "true"
