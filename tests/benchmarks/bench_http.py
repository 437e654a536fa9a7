"""GET one sign of one `sealward api` over PostgreSQL, against a bare handler with one query on that server.

The bare handler is a Falcon resource alone: no middleware, no token, no policy; the row as JSON. Ours is
asked with an issued token, which is looked up in the database at every request: a revoked one never passes.
"""

from __future__ import annotations

import base64
import os
import re
import statistics
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from factories import event
from private import folder, postgres_server

from sealward.control.postgres import PostgresControl
from sealward.control.role import Role
from sealward.control.tokens import Tokens
from sealward.events.base import sign_stream, utc_now
from sealward.events.sign import SignCreated, SignSealed, SignValidated
from sealward.events.store.postgres import postgres
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from stack.processes import end, free_port, start, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = 1_000
SECONDS = 3
ROUNDS = 5
QUERY = """SELECT sign_id, server_id, node_id, instance_name, created_at, updated_at, is_valid
FROM signs WHERE server_id = %s"""


def fill(url: str) -> str:
    """Write signs and their rows; return the id of a server among them."""
    store, projections = postgres(url), Projections(PostgresBackend(url))
    servers = [str(uuid.uuid4()) for _ in range(SIGNS)]
    for number, one in enumerate(servers, 1):
        envelope = {"payload": base64.b64encode(os.urandom(3000)).decode(), "signatures": []}
        facts = [
            event(SignCreated, server_id=one, sign_id=number),
            event(SignSealed, server_id=one, sign_id=number, envelope=envelope),
            event(SignValidated, server_id=one, sign_id=number),
        ]
        store.append(sign_stream(one), 0, facts)
    while projections.advance(store):
        pass
    projections.close()
    store.close()
    return servers[SIGNS // 2]


def token(url: str) -> str:
    """Issue a token."""
    control = PostgresControl(url)
    secret = Tokens(control, utc_now).issue("bench", Role.READER)
    control.close()
    return secret


def serve_bare(url: str, port: int) -> None:
    """Serve the bare handler until the process is ended."""
    import falcon
    import msgspec

    from sealward.events.store.postgres import Database
    from sealward.http.listening.listener import Listener

    database = Database(url, search_path="main")

    class Bare:
        def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
            del req
            with database.connection() as connection:
                row = connection.execute(QUERY, (server_id,)).fetchone()
            resp.content_type = falcon.MEDIA_JSON
            resp.data = msgspec.json.encode({"sign": row})

    app: falcon.App[Any, Any] = falcon.App()
    app.add_route("/v1/sign/{server_id}", Bare())
    listener = Listener(app, "127.0.0.1", port)
    listener.start()
    print(f"Sealward listens at {listener.url}", flush=True)
    threading.Event().wait()


def serve(place: Path, name: str, words: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    log = place / f"{name}.log"
    process = start([sys.executable, "-u", *words], log, env)
    wait_until(lambda: "listens at" in log.read_text(), process, log, 30)
    return process


def rate(url: str, secret: str) -> tuple[float, float]:
    """Return answers a second and the 99th percentile in milliseconds."""
    words = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "--latency", "-H", f"X-Auth-Token: {secret}", url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    if "Non-2xx" in done:
        raise AssertionError(done)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done)
    slowest = re.search(r"99%\s+([\d.]+)(us|ms|s)", done)
    assert found is not None
    assert slowest is not None
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[slowest[2]]
    return float(found[1]), float(slowest[1]) * scale


def main() -> int:
    """Print both rates and their ratio; 1 when ours is too slow."""
    with postgres_server() as server, folder() as place:
        server_id, secret = fill(server.url()), token(server.url())
        ports = (free_port(), free_port())
        ours = {
            "SEALWARD_DATABASE_URL": server.url(),
            "SEALWARD_LISTEN": f"127.0.0.1:{ports[0]}",
            "SEALWARD_DATA_DIR": str(place / "data"),
        }
        path = os.pathsep.join(sys.path[:2])
        bare = [str(Path(__file__)), "bare", server.url(), str(ports[1])]
        processes = [
            serve(place, "ours", ["-m", "sealward", "api"], ours | {"PYTHONPATH": path}),
            serve(place, "bare", bare, {"PYTHONPATH": path}),
        ]
        try:
            urls = [f"http://127.0.0.1:{port}/v1/sign/{server_id}" for port in ports]
            turns = [[rate(url, secret) for url in urls] for _ in range(ROUNDS)]
        finally:
            for one in processes:
                end(one)
    ratio = statistics.median(turn[0][0] / turn[1][0] for turn in turns)
    for name, which in (("sealward api", 0), ("bare handler", 1)):
        answers, slowest = (statistics.median(turn[which][what] for turn in turns) for what in (0, 1))
        print(f"{name}: {answers:,.0f} GET/s, p99 {slowest:.1f} ms, 16 connections")
    return report(Bound("GET one sign, against a bare handler with one query", ratio, 0.7, "x"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        serve_bare(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
