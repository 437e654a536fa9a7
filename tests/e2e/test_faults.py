"""Kill it in the middle of everything: what was acknowledged is in the log, once, and all heals by itself."""

from __future__ import annotations

import http.client
import random
import threading
import time
import urllib.error
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import Process, sealward, started
from running import BASTION, BATCH, DATABASE, WEB, running, until

from sealward.events.sign import SignCreated, SignEvent, SignRevoked, SignUpdated
from sealward.events.store import store as stores
from sealward.settings import Settings

pytestmark = pytest.mark.heavy

SERVERS = (WEB, DATABASE, BATCH, BASTION)
DEAD_URI = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"
Acknowledged = list[tuple[str, str]]


def load(process: Process, seed: int, stop: threading.Event, acknowledged: Acknowledged) -> None:
    """Sign, re-sign and revoke at random; note what was acknowledged."""
    dice = random.Random(seed)  # noqa: S311 - a seed that replays
    while not stop.is_set():
        method, server_id = dice.choice(("POST", "POST", "PUT", "DELETE")), dice.choice(SERVERS)
        path, body = ("/v1/sign", {"server_id": server_id})
        if method == "DELETE":
            path, body = f"/v1/sign/{server_id}", {}
        try:
            status, _ = process.ask(method, path, body)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
            return
        assert status in {200, 201, 204, 404, 409, 410}
        if status < 300 or status == 410:
            acknowledged.append((method, server_id))


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    """In the log once; at most the request in flight of each client more; rows equal to a rebuild."""
    acknowledged: Acknowledged = []
    stop = threading.Event()
    with started(tmp_path) as one, ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load, one, 10 * seed + n, stop, acknowledged) for n in range(3)]
        time.sleep(0.2 + random.Random(seed).random())  # noqa: S311 - as above
        one.process.kill()
        stop.set()
        for client in clients:
            client.result(30)
    with started(tmp_path) as again:
        signs = again.ask("GET", "/v1/sign")[1]["signs"]
        until(lambda: all(s["is_valid"] == "true" for s in again.ask("GET", "/v1/sign")[1]["signs"]))
        replayed = sealward(tmp_path, "replay")
        again.end()
    store = stores.sqlite(tmp_path / "data" / "log.sqlite")
    events = [one.event for one in store.follow(0, 1_000_000)]
    store.close()
    method = {SignCreated: "POST", SignUpdated: "PUT", SignRevoked: "DELETE"}
    written = Counter(
        (method[type(one)], one.server_id)
        for one in events
        if isinstance(one, SignEvent) and type(one) in method
    )
    created = [one.sign_id for one in events if isinstance(one, SignCreated)]

    assert len(acknowledged) > 5
    assert not Counter(acknowledged) - written
    assert (written - Counter(acknowledged)).total() <= 3
    assert len(created) == len(set(created))
    assert replayed.returncode == 0, replayed.stdout
    assert len(signs) == sum(one == "POST" for one, _ in written.elements()) - sum(
        one == "DELETE" for one, _ in written.elements()
    )


def test_of_many_posts_at_once_one_wins(tmp_path: Path) -> None:
    """201 for one, 409 for the rest, one sign."""
    with running(tmp_path) as one, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: one.ask("POST", "/v1/sign", {"server_id": WEB}).status, range(8)))

    assert Counter(statuses) == {201: 1, 409: 7}


def test_of_many_puts_at_once_each_is_a_generation(tmp_path: Path) -> None:
    """All are answered, the last one is in force."""
    with running(tmp_path) as one, ThreadPoolExecutor(8) as pool:
        one.sign()
        statuses = list(pool.map(lambda _: one.ask("PUT", "/v1/sign", {"server_id": WEB}).status, range(40)))
        until(lambda: one.verdict()["generation"] == 41)

        assert Counter(statuses) == {200: 40}
        assert one.is_valid() == "true"


@pytest.mark.alone
def test_reads_go_on_while_writes_wait(tmp_path: Path) -> None:
    """A client that waits for a seal holds up no other; beyond the allowance the answer comes at once."""
    with running(tmp_path) as one:
        one.sign()
    slow = Settings(libvirt_uri=DEAD_URI, wait=2)
    with running(tmp_path, settings=slow) as one, ThreadPoolExecutor(16) as pool:
        writes = [pool.submit(one.ask, "PUT", "/v1/sign", {"server_id": WEB}) for _ in range(15)]
        time.sleep(0.3)
        began = time.monotonic()
        assert one.ask("GET", f"/v1/sign/{WEB}").status == 200
        seconds = time.monotonic() - began
        answers = [write.result(30).status for write in writes]

    assert seconds < 0.5
    assert set(answers) == {200}
