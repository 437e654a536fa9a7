"""Without a token nothing is said of what there is; and nothing that a client sends comes back in a link."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
import wire
from programs import TOKEN, Process, started
from running import BATCH, DATABASE, WEB

EVIL = "evil.example"
PUBLIC = ("/", "/v1", "/healthcheck", "/healthcheck/live", "/healthcheck/ready", "/openapi.json", "/metrics")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return a process with signed servers, a token with a name, and a task."""
    with started(tmp_path_factory.mktemp("signed")) as process:
        for server_id in (WEB, DATABASE, BATCH):
            assert process.ask("POST", "/v1/sign", {"server_id": server_id})[0] == 201
        process.ask("GET", f"/v1/sign/{WEB}", token="secret-guess")
        process.ask("GET", "/v1/secret-path")
        yield process


def names(process: Process) -> set[str]:
    """Return all that has a name: nodes, servers, instances, users, this host."""
    _, nodes = process.ask("GET", "/v1/node")
    _, servers = process.ask("GET", "/v1/server")
    found = {one["hostname"] for one in nodes["nodes"]} | {socket.gethostname()}
    found |= {one[key] for one in servers["servers"] for key in ("server_id", "instance_name")}
    return found | {"secret-guess", "secret-path", "user:", TOKEN, str(process.folder)}


@pytest.mark.parametrize("path", PUBLIC)
def test_what_is_public_names_nothing(signed: Process, path: str) -> None:
    """Neither nodes, nor servers, nor users, nor clients, nor paths of this machine."""
    answered = wire.ask(signed.url, path, None, "X-Forwarded-For: 203.0.113.77")
    said = answered.body.decode() + json.dumps(answered.headers)

    assert answered.status == 200
    assert [name for name in names(signed) | {"203.0.113.77", "127.0.0.1"} if name in said] == []
    assert 'node="' not in said


def test_who_has_a_token_gets_the_names(signed: Process) -> None:
    """With `detailed`, which nobody gets without one."""
    (node,) = signed.ask("GET", "/v1/node")[1]["nodes"]
    detailed = wire.ask(signed.url, "/metrics?detailed", TOKEN)

    assert f'sealward_node_seen_seconds{{node="{node["hostname"]}"}}' in detailed.body.decode()
    for query in ("detailed", "detailed=", "detailed=true", "$detailed", "%64etailed", "detailed&detailed"):
        assert wire.ask(signed.url, f"/metrics?{query}").status == 401
        assert wire.ask(signed.url, f"/metrics?{query}", "wrong").status == 401


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/", None),
        ("/v1", None),
        ("/v1/sign?limit=1", TOKEN),
        ("/v1/server?limit=1", TOKEN),
        ("/nowhere", None),
    ],
)
@pytest.mark.parametrize("claim", [f"Host: {EVIL}", f"X-Forwarded-Host: {EVIL}", f"Forwarded: host={EVIL}"])
def test_no_link_repeats_what_a_client_sent(
    signed: Process, path: str, token: str | None, claim: str
) -> None:
    """An attacker who can set a header of another client, by a cache, chooses no link in its answers."""
    lines = [f"GET {path} HTTP/1.1", claim] + ([] if token is None else [f"X-Auth-Token: {token}"])
    with wire.connect(signed.url) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answered = wire.answer(connection)

    assert EVIL not in answered.body.decode() + json.dumps(answered.headers)


def test_nor_what_stands_in_the_request_line(signed: Process) -> None:
    """A target may be a whole URL; its host is nobody's."""
    with wire.connect(signed.url) as connection:
        connection.sendall(
            f"GET http://{EVIL}/v1/sign?limit=1 HTTP/1.1\r\nX-Auth-Token: {TOKEN}\r\n\r\n".encode()
        )
        answered = wire.answer(connection)

    assert answered.status == 200
    assert re.fullmatch(r"</v1/sign\?limit=1&marker=1>; rel=next", answered.headers["link"])


def test_a_public_url_is_what_links_begin_with(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a setting names it, for clients that do not take relative links."""
    folder = tmp_path_factory.mktemp("public")
    with started(folder, SEALWARD_PUBLIC_URL="https://sealward.example:9362/") as process:
        found = json.loads(wire.ask(process.url, "/v1").body)["version"]["links"]
        page = wire.ask(process.url, "/v1/server?limit=1", TOKEN)

    assert [one["href"] for one in found] == [
        "https://sealward.example:9362/v1/",
        "https://sealward.example:9362/openapi.json",
    ]
    assert page.headers["link"].startswith("<https://sealward.example:9362/v1/server?limit=1&marker=")
