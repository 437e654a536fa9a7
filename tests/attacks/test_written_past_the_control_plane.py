"""A writer in the database: what `sealward replay` finds, instead of adopting it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from running import WEB, running

from sealward.commands.writer.soundness import flaws
from sealward.events.base import node_stream
from sealward.events.signing.keys import public_pem
from sealward.events.store.postgres import migrate, postgres
from sealward.events.store.store import EventStore
from sealward.events.store.store import sqlite as sqlite_store


@dataclass
class Copied:
    """A log that a real run has left, in PostgreSQL, for a writer who stops at nothing."""

    url: str

    def change(self, topic: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the last event of a topic in its place."""
        with psycopg.connect(self.url) as database:
            database.execute("ALTER TABLE events DISABLE TRIGGER events_stay")
            row = database.execute(
                "SELECT position, state FROM events WHERE topic = %s ORDER BY position DESC LIMIT 1", (topic,)
            ).fetchone()
            assert row is not None
            fields = json.loads(row[1])
            change(fields)
            state = json.dumps(fields).encode()
            database.execute("UPDATE events SET state = %s WHERE position = %s", (state, row[0]))
            database.execute("ALTER TABLE events ENABLE TRIGGER events_stay")

    def run(self, statement: str, *values: object) -> None:
        """Do anything else."""
        with psycopg.connect(self.url) as database:
            database.execute("ALTER TABLE events DISABLE TRIGGER events_stay")
            database.execute(statement.encode(), values)
            database.execute("ALTER TABLE events ENABLE TRIGGER events_stay")

    def found(self) -> list[str]:
        """Return what does not fit together."""
        with contextlib.closing(postgres(self.url)) as store:
            return [one.what.split()[0] for one in flaws(store)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[uuid.UUID, int, str, bytes]]:
    """Return the log of a Sealward with signs, a re-sign, a change, policies and a revocation."""
    folder = tmp_path_factory.mktemp("lived")
    with running(folder) as sealward:
        sealward.sign()
        sealward.fleet.replace(WEB, "/disk'", "/other'")
        assert sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).status == 200
        for policy in ("refuse", "observe") * 12:
            sealward.ask("PUT", "/v1/node/1/policy", {"on_start": policy})
        sealward.action("activate")
    with contextlib.closing(sqlite_store(folder / "log.sqlite")) as store:
        return [(one.stream, one.version, one.topic, one.state) for one in store.copy(0, 10_000)]


@pytest.fixture
def log(database: str, lived: list[tuple[uuid.UUID, int, str, bytes]]) -> Copied:
    """Return that log, sound so far, with a snapshot of its node."""
    with psycopg.connect(database) as connection:
        columns = [list(column) for column in zip(*lived, strict=True)]
        connection.execute(
            "SELECT append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])", tuple(columns)
        )
    made = Copied(database)
    assert made.found() == []
    return made


def forged(fields: dict[str, Any]) -> None:
    """Sign what was measured with another key: the sealed digest is another, too."""
    from sealward.events.signing.envelope import parse, sign  # noqa: PLC0415 - here alone

    envelope = parse(fields["envelope"])
    fields["envelope"] = sign(
        type(envelope)(envelope.payload, envelope.payload_type), Ed25519PrivateKey.generate()
    ).to_json()


TAMPERED: dict[str, tuple[str, Callable[[dict[str, Any]], None], str]] = {
    "a true until 2099": (
        "sign.validated",
        lambda fields: fields.update(fresh_until="2099-01-01T00:00:00+00:00"),
        "true-for-too-long",
    ),
    "a sweep that vouches until 2099": (
        "node.swept",
        lambda fields: fields.update(fresh_until="2099-01-01T00:00:00+00:00"),
        "true-for-too-long",
    ),
    "another digest": (
        "sign.sealed",
        lambda fields: fields.update(digest="00" * 32),
        "seal-of-something-else",
    ),
    "another generation": (
        "sign.sealed",
        lambda fields: fields.update(generation=7),
        "seal-of-something-else",
    ),
    "a stranger's signature": ("sign.sealed", forged, "seal-not-signed-by-its-node"),
    "no signature": (
        "sign.sealed",
        lambda fields: fields["envelope"].update(signatures=[]),
        "seal-not-signed-by-its-node",
    ),
    "no envelope": ("sign.sealed", lambda fields: fields.update(envelope={}), "seal-unreadable"),
    "another server": (
        "sign.created",
        lambda fields: fields.update(server_id=str(uuid.uuid4())),
        "in-another-stream",
    ),
    "another node": ("node.policy-set", lambda fields: fields.update(hostname="kvm666"), "in-another-stream"),
    "another key": (
        "node.registered",
        lambda fields: fields.update(public_key=public_pem(Ed25519PrivateKey.generate().public_key())),
        "seal-not-signed-by-its-node",
    ),
}


@pytest.mark.parametrize(("topic", "change", "what"), TAMPERED.values(), ids=TAMPERED)
def test_an_event_that_was_changed_in_its_place(
    log: Copied, topic: str, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    """It does not fit the others any more."""
    log.change(topic, change)

    assert what in log.found()


def test_an_event_that_was_taken_out(log: Copied) -> None:
    """The versions of its stream have a hole; at the end of a stream it is not seen."""
    log.run("DELETE FROM events WHERE topic = 'sign.sealed'")

    assert "version-out-of-order" in log.found()


def test_an_event_that_was_put_between_others(log: Copied) -> None:
    """Positions are given out in order: what comes late has a version that was there."""
    log.run(
        "INSERT INTO events (stream, version, topic, state) "
        "SELECT stream, 100, topic, state FROM events WHERE topic = 'sign.created'"
    )

    assert log.found() == ["version-out-of-order"]


@pytest.mark.parametrize(
    "state", ['{"node_id": 1, "hostname": "vm", "public_key": "another"}', "null", "no JSON"]
)
def test_a_snapshot_with_another_key(log: Copied, lived: object, state: str) -> None:
    """It is not what the events before it give."""
    del lived
    with psycopg.connect(log.url) as database:
        row = database.execute(
            "SELECT stream, max(version) FROM events WHERE topic = 'node.policy-set' GROUP BY 1"
        )
        stream, version = row.fetchone() or (node_stream("vm"), 0)
    from sealward.commands.writer.stream import of_node  # noqa: PLC0415 - here alone

    log.run("DELETE FROM snapshots")
    shape = of_node("vm").shape
    log.run("INSERT INTO snapshots VALUES (%s, %s, %s, %s)", stream, version, shape, state.encode())

    assert log.found() == ["snapshot-of-something-else"]


def replay(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the sub-command."""
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "sealward", "replay", *words],
        env={"SEALWARD_DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_replay_adopts_nothing_silently(log: Copied) -> None:
    """It says what does not fit, and changes no row; who looks into it can have the log taken as it is."""
    first = replay(log.url)
    log.change("sign.validated", lambda fields: fields.update(fresh_until="2099-01-01T00:00:00+00:00"))
    held = replay(log.url)
    with psycopg.connect(log.url) as database:
        rows = database.execute("SELECT count(*) FROM main.signs WHERE verdict LIKE '%2099%'").fetchone()
    adopted = replay(log.url, "--adopt")

    assert (first.returncode, held.returncode, adopted.returncode) == (0, 1, 1), first.stdout + first.stderr
    assert "true-for-too-long" in held.stdout
    assert "--adopt" in held.stdout
    assert "replayed" not in held.stdout
    assert rows == (0,)
    assert "replayed" in adopted.stdout


def test_a_poisoned_log_is_others_to_set_aside(database: str) -> None:
    """What cannot be read is no flaw here: `sealward events set-aside` has it."""
    migrate(database)
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO events (stream, version, topic, state) "
            "VALUES (gen_random_uuid(), 1, 'sign.sealed', 'x')"
        )
    store: EventStore = postgres(database)
    with contextlib.closing(store):
        assert list(flaws(store)) == []
