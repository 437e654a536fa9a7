"""The transparency log over HTTP: an auditor's tools fetch it, and verify it with public keys alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import wire
from running import Running, running, until

from sealward.control.role import Role
from sealward.events.tlog.checkpoint import Checkpoint, read_checkpoint
from sealward.events.tlog.merkle import leaf_hash, root
from sealward.events.tlog.note import read_note
from sealward.events.tlog.policy import read_policy
from sealward.events.tlog.proof import read_proof
from sealward.events.tlog.record import read_record
from sealward.events.tlog.tiles import subtrees, tiles_of, unbundled


@pytest.fixture(scope="module")
def sealward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward with a log of some hundred events, all of them signed."""
    with running(tmp_path_factory.mktemp("log")) as one:
        one.sign()
        for policy in ("refuse", "observe") * 140:
            assert one.ask("PUT", "/v1/node/1/policy", {"on_start": policy}).status == 200
        until(lambda: one.ask("GET", "/v1/log").json["log"]["signed"] >= 280)
        until(lambda: _is_signed(one))
        yield one


def _is_signed(one: Running) -> bool:
    log = one.ask("GET", "/v1/log").json["log"]
    return bool(log["signed"] == log["events"])


def fetch(one: Running, path: str) -> bytes:
    """Return what an auditor's tool gets, as bytes."""
    got = wire.ask(one.url, f"/v1/log/{path}", one.token_of(Role.AUDITOR))
    assert got.status == 200
    return got.body


def checkpoint(one: Running) -> Checkpoint:
    """Return the last checkpoint, verified with the key of the log."""
    vkey = one.ask("GET", "/v1/log").json["log"]["vkey"]
    note = read_note(fetch(one, "checkpoint").decode())
    read_policy(f"log {vkey}\nquorum none\n").accept(note)
    return read_checkpoint(note)


def test_the_log_is_mirrored_from_its_tiles(sealward: Running) -> None:
    """All tiles and entries of the last checkpoint hash to its root, and are the events of the store."""
    last = checkpoint(sealward)
    tiles = {(one.level, one.number): fetch(sealward, f"tile/{one.path}") for one in tiles_of(last.size)}
    assert root(last.size, subtrees(lambda *place: tiles.get(place, b""))) == last.root

    paths = [one.path.replace("0/", "entries/", 1) for one in tiles_of(last.size) if one.level == 0]
    entries = [entry for path in paths for entry in unbundled(fetch(sealward, f"tile/{path}"))]
    hashes = b"".join(data for (level, _), data in sorted(tiles.items()) if level == 0)
    assert b"".join(leaf_hash(entry) for entry in entries) == hashes
    stored = sealward.embedded.control_plane.store.copy(0, 1000)
    assert [read_record(one).position for one in entries] == [one.position for one in stored][: last.size]


def test_each_event_has_a_proof(sealward: Running) -> None:
    """Which an auditor verifies offline: with the entry, the proof and the key of the log."""
    policy = read_policy(f"log {sealward.ask('GET', '/v1/log').json['log']['vkey']}\nquorum none\n")
    first = unbundled(fetch(sealward, "tile/entries/000"))
    for entry in first[::40]:
        position = read_record(entry).position
        read_proof(fetch(sealward, f"event/{position}/proof").decode()).verify(entry, policy)


def test_a_partial_tile_is_a_beginning_of_the_full_tile(sealward: Running) -> None:
    """Tiles of earlier checkpoints are served as long as the log is there."""
    full = fetch(sealward, "tile/0/000")
    assert len(full) == 256 * 32
    assert fetch(sealward, "tile/0/000.p/7") == full[: 7 * 32]
    assert len(unbundled(fetch(sealward, "tile/entries/000.p/7"))) == 7


def test_tiles_are_kept_by_caches_and_checkpoints_are_not(sealward: Running) -> None:
    """A tile never changes; no shared cache keeps it, for it is for auditors."""
    tile, last = sealward.ask("GET", "/v1/log/tile/0/000"), sealward.ask("GET", "/v1/log/checkpoint")
    assert "immutable" in tile.headers["cache-control"]
    assert "private" in tile.headers["cache-control"]
    assert last.headers["cache-control"] == "no-store"
    assert last.headers["content-type"] == "text/plain; charset=utf-8"
    assert tile.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("tile/0/999", 404, "log.not-there"),
        ("tile/3/000", 404, "log.not-there"),
        ("tile/0/000.p/300", 400, "parameter.bad-tile"),
        ("tile/0/0", 400, "parameter.bad-tile"),
        ("tile/x", 400, "parameter.bad-tile"),
        ("tile/entries/x999/999", 404, "log.not-there"),
        ("event/0/proof", 404, "log.not-there"),
        ("event/99999999/proof", 404, "log.not-there"),
        ("event/-1/proof", 400, "parameter.bad-number"),
    ],
)
def test_what_the_log_does_not_have_is_refused(
    sealward: Running, path: str, status: int, reason: str
) -> None:
    """With a code."""
    got = sealward.ask("GET", f"/v1/log/{path}")
    assert (got.status, got.json["error"]["reason"]) == (status, reason)


def test_the_log_is_for_auditors(sealward: Running) -> None:
    """By either header; a reader may not, and elsewhere a bearer's token is not looked for."""
    bearer = f"Authorization: Bearer {sealward.token_of(Role.AUDITOR)}"
    path = "/v1/log/checkpoint"
    assert wire.ask(sealward.url, path, None, bearer).status == 200
    assert wire.ask(sealward.url, path, sealward.token_of(Role.READER)).status == 403
    assert wire.ask(sealward.url, path, None, "Authorization: Bearer nonsense").status == 401
    assert wire.ask(sealward.url, path, None, "Authorization: Basic YTpi").status == 401
    assert wire.ask(sealward.url, "/v1/sign", None, bearer).status == 401


def test_a_log_that_was_changed_is_a_problem_of_its_health(tmp_path: Path) -> None:
    """Named in detail, and nothing more is signed."""
    with running(tmp_path) as one:
        one.sign()
        until(lambda: one.ask("GET", "/v1/log").status == 200)
        until(lambda: _is_signed(one))
        signed = one.ask("GET", "/v1/log").json["log"]["signed"]
    with sqlite3.connect(tmp_path / "log.sqlite") as database:
        database.execute("UPDATE stored_events SET state = state || ' ' WHERE rowid = 1")
    for path in tmp_path.glob("rows.sqlite*"):
        path.unlink()
    with running(tmp_path) as one:
        one.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"})
        until(lambda: one.ask("GET", "/v1/log").json["log"]["problem"] == "log.inconsistent")
        health = one.ask("GET", "/healthcheck?detailed").json
        assert "log.inconsistent" in health["problems"]
        assert one.ask("GET", "/v1/log").json["log"]["signed"] == signed
