"""What a client says of its address counts only if a trusted proxy says it; the log has only addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import wire
from programs import TOKEN, Process, started
from running import until

FORGED = (
    "X-Forwarded-For: 203.0.113.1",
    "Forwarded: for=203.0.113.2",
    "X-Real-IP: 203.0.113.3",
    "X-Client-IP: 203.0.113.4",
    "True-Client-IP: 203.0.113.5",
    "Client-IP: 203.0.113.6",
    "Via: 1.1 203.0.113.7",
    "X-Forwarded: for=203.0.113.8",
    "X_Forwarded_For: 203.0.113.9",
    "Remote-Addr: 203.0.113.10",
)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return a process that trusts a proxy at 127.0.0.2 and a network of further ones."""
    trusted = {"SEALWARD_TRUSTED_PROXIES": "127.0.0.2, 10.1.0.0/16", "SEALWARD_LOG": "json"}
    with started(tmp_path_factory.mktemp("proxied"), **trusted) as process:
        yield process


def last_client(process: Process, source: str, *headers: str, path: str = "/v1") -> str:
    """Ask from an address; return which one the log has for that request."""
    with wire.connect(process.url, source=source) as connection:
        connection.sendall(wire.request(path, None, "GET", *headers))
        request_id = wire.answer(connection).headers["x-openstack-request-id"]
    until(lambda: request_id in process.output("err"))
    (line,) = [one for one in process.output("err").splitlines() if request_id in one]
    return str(json.loads(line)["client"])


@pytest.mark.parametrize("header", FORGED)
def test_a_client_cannot_choose_its_address(proxied: Process, header: str) -> None:
    """From an address that is no trusted proxy's nothing is believed."""
    assert last_client(proxied, "127.0.0.3", header) == "127.0.0.3"


@pytest.mark.parametrize("header", FORGED[1:])
def test_nor_behind_a_proxy_by_a_header_that_the_proxy_does_not_write(proxied: Process, header: str) -> None:
    """One header is read: the others a proxy passes on as its client made them."""
    assert last_client(proxied, "127.0.0.2", "X-Forwarded-For: 198.51.100.7", header) == "198.51.100.7"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.2, 10.1.2.3, 198.51.100.7", "198.51.100.7"),
        ("203.0.113.1, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("nonsense", "127.0.0.2"),
        ("198.51.100.7, \x1b[31mred", "127.0.0.2"),
        ("' OR 1=1 --", "127.0.0.2"),
        ("", "127.0.0.2"),
        (", ".join(["203.0.113.1"] * 1500) + ", 198.51.100.7", "198.51.100.7"),
    ],
)
def test_a_forged_chain_behind_a_trusted_proxy(proxied: Process, chain: str, client: str) -> None:
    """What the client sent stands before what the proxy has appended."""
    assert last_client(proxied, "127.0.0.2", f"X-Forwarded-For: {chain}") == client


def test_two_headers_are_one_chain(proxied: Process) -> None:
    """A proxy that adds a header of its own is read, not the client's."""
    sent = ("X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 198.51.100.7")
    assert last_client(proxied, "127.0.0.2", *sent) == "198.51.100.7"


def test_limits_count_the_client_behind_the_proxy(proxied: Process) -> None:
    """Who guesses through the proxy is turned away, whatever chain is forged; its other clients are not."""

    def ask(client: str, token: str) -> int:
        with wire.connect(proxied.url, source="127.0.0.2") as connection:
            connection.sendall(wire.request("/v1/sign", token, "GET", f"X-Forwarded-For: {client}"))
            return wire.answer(connection).status

    for number in range(40):
        ask(f"203.0.113.{number}, 198.51.100.66", f"guess-{number}")
    assert ask("203.0.113.77, 198.51.100.66", "one more") == 429
    assert ask("198.51.100.67", "one more") == 401
    assert ask("198.51.100.67", TOKEN) == 200


def test_a_site_of_ipv6_is_one_client(proxied: Process) -> None:
    """Each guess from another address of its /64: they count together."""

    def ask(client: str) -> int:
        with wire.connect(proxied.url, source="127.0.0.2") as connection:
            connection.sendall(wire.request("/v1/sign", f"t{client}", "GET", f"X-Forwarded-For: {client}"))
            return wire.answer(connection).status

    assert [ask(f"2001:db8:9::{number:x}") for number in range(1, 36)][-1] == 429
    assert ask("2001:db8:9:1::1") == 401


def test_the_proxys_own_connections_are_not_counted_as_one_clients(proxied: Process) -> None:
    """A proxy has as many as it needs; the address of a client has its limit."""
    opened = []
    try:
        for _ in range(300):
            opened.append(wire.connect(proxied.url, source="127.0.0.2"))  # noqa: PERF401 - closed in the end
        assert not any(wire.is_closed(one) for one in opened)
    finally:
        for one in opened:
            one.close()


def test_the_header_of_rfc_7239(tmp_path: Path) -> None:
    """SEALWARD_PROXY_HEADER=forwarded: then X-Forwarded-For is what a client may have written."""
    settings = {
        "SEALWARD_TRUSTED_PROXIES": "127.0.0.2",
        "SEALWARD_PROXY_HEADER": "forwarded",
        "SEALWARD_LOG": "json",
    }
    with started(tmp_path, **settings) as process:
        sent = ('Forwarded: for="[2001:db8::7]:4711";proto=https', "X-Forwarded-For: 203.0.113.1")
        assert last_client(process, "127.0.0.2", *sent) == "2001:db8::7"
        assert last_client(process, "127.0.0.2", 'Forwarded: for="evil, for=198.51.100.7') == "198.51.100.7"
        assert last_client(process, "127.0.0.2", "X-Forwarded-For: 203.0.113.1") == "127.0.0.2"
