"""Tokens that are guessed: who guesses is turned away unasked, is counted, and locks nobody out."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
import wire
from programs import TOKEN, Process, sealward, started
from running import until

SIGNS = "/v1/sign"


def guess(url: str, token: str, source: str | None = None) -> tuple[int, str | None]:
    """Send a token from an address of loopback; return status and Retry-After."""
    with wire.connect(url, source=source) as connection:
        connection.sendall(wire.request(SIGNS, token))
        answered = wire.answer(connection)
    return answered.status, answered.headers.get("retry-after")


def counted(url: str, name: str) -> float:
    """Return a counter."""
    text = wire.ask(url, "/metrics").body.decode()
    return float(re.findall(rf"^sealward_{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])


def test_who_guesses_is_not_answered_any_more(api: Process) -> None:
    """After thirty different tokens: 429 with Retry-After, also for a token that would be good."""
    statuses = [guess(api.url, f"guess-{number}", "127.0.0.9") for number in range(60)]

    assert [status for status, _ in statuses[:30]] == [401] * 30
    assert {status for status, _ in statuses[33:]} == {429}
    assert all(wait is not None and 1 <= int(wait) <= 60 for status, wait in statuses if status == 429)
    assert guess(api.url, TOKEN, "127.0.0.9")[0] == 429
    assert 30 <= counted(api.url, "refused_tokens_total") <= 33
    assert counted(api.url, 'http_limited_total{limit="refused-tokens"}') >= 27


def test_others_go_on(api: Process) -> None:
    """At another address, and at the guesser's own with a token that was good there before; health, too."""
    assert guess(api.url, TOKEN, "127.0.0.9")[0] == 200
    for number in range(100):
        guess(api.url, f"guess-{number}", "127.0.0.9")

    assert guess(api.url, "one more", "127.0.0.9")[0] == 429
    assert guess(api.url, TOKEN, "127.0.0.9")[0] == 200
    assert guess(api.url, TOKEN)[0] == 200
    with wire.connect(api.url, source="127.0.0.9") as connection:
        connection.sendall(wire.request("/healthcheck/ready"))
        assert wire.answer(connection).status == 200


def test_a_token_that_was_revoked_is_still_looked_up(api: Process) -> None:
    """It was good there, so it is asked for, and it is no good any more."""
    secret = sealward(api.folder, "token", "issue", "leaver").stdout.strip()
    assert guess(api.url, secret)[0] == 200
    assert sealward(api.folder, "token", "revoke", "leaver").returncode == 0
    assert guess(api.url, secret)[0] == 401


def test_an_expired_token_sent_again_and_again_locks_nobody_out(api: Process) -> None:
    """The same wrong token is no guess; but without end it is too much."""
    assert {guess(api.url, "expired")[0] for _ in range(150)} == {401}
    assert guess(api.url, TOKEN)[0] == 200
    assert 429 in {guess(api.url, "expired")[0] for _ in range(300)}


def test_without_a_token_nothing_is_looked_up_or_counted(api: Process) -> None:
    """A stranger who knows of no tokens is told so, each time."""
    assert {wire.ask(api.url, SIGNS).status for _ in range(100)} == {401}
    assert counted(api.url, "refused_tokens_total") == 0


def test_guesses_from_many_addresses_are_counted_all_the_same(api: Process) -> None:
    """An alert sees them; those who have a token go on."""
    for number in range(200):
        assert guess(api.url, f"guess-{number}", f"127.2.{number // 20}.1")[0] == 401
    assert counted(api.url, "refused_tokens_total") == 200
    assert guess(api.url, TOKEN)[0] == 200


def test_how_many_is_a_setting(tmp_path: Path) -> None:
    """SEALWARD_LIMIT_REFUSED."""
    with started(tmp_path, SEALWARD_LIMIT_REFUSED="2") as process:
        assert [guess(process.url, str(number))[0] for number in range(3)] == [401, 401, 429]


def test_the_log_says_who_it_was(api: Process) -> None:
    """The address, with every refusal; never the token."""
    guess(api.url, "secret-guess", "127.0.0.9")
    line = r"GET /v1/sign 401, [\d.]+ ms, 127\.0\.0\.9 \["
    until(lambda: re.search(line, api.output("err")) is not None)

    assert "secret-guess" not in api.output("err")


def has_ipv6() -> bool:
    """Say whether this machine has IPv6 on loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback")
def test_addresses_of_ipv6(tmp_path: Path) -> None:
    """They are logged as they are, and links and limits do not mind."""
    from stack.processes import free_port  # noqa: PLC0415 - only here

    port = free_port()
    with started(tmp_path, SEALWARD_LISTEN=f"[::1]:{port}", SEALWARD_LOG="json") as process:
        url = f"http://[::1]:{port}"
        assert 429 in {guess(url, str(number))[0] for number in range(40)}
        until(lambda: "429" in process.output("err"))
        lines = [json.loads(line) for line in process.output("err").splitlines()]
    assert {one["client"] for one in lines if one["logger"] == "sealward.access"} == {"::1"}
