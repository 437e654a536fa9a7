"""Tokens of a real Keystone: who may what, what is refused, and what happens when Keystone is away."""

from __future__ import annotations

import dataclasses
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import falcon.testing
import pytest
from cloud import SERVICE_USER, Cloud, soon
from programs import sealward as sealward_command
from programs import started
from running import BATCH, DATABASE, WEB, Answer, Running, running, until

from sealward.control.role import Role
from sealward.http.app import described_calls
from sealward.http.auth import keystone
from sealward.http.auth.keystone import KeystoneTokens
from sealward.http.operation.errors import Problem
from sealward.settings import Keystone as KeystoneSettings
from sealward.settings import SettingRefused, Settings
from stack.keystone import PASSWORD

PERSONAS = {
    "admin": Role.ADMIN,
    "olga": Role.SECURITY_OFFICER,
    "arne": Role.AUDITOR,
    "rita": Role.READER,
    "mia": None,
}
"""User → persona; a member of a project is none of them."""


def ask(
    sealward: Running, token: str | None, method: str = "GET", path: str = "/v1/sign", **more: str
) -> Answer:
    """Make a call with a token and further headers."""
    body = {"server_id": WEB} if method == "POST" else None
    return sealward.ask(method, path, body, headers={"X-Auth-Token": token, **more})


def head(sealward: Running) -> int:
    """Return how many events there are."""
    return sealward.embedded.control_plane.store.head()


def test_an_administrator_signs_and_the_log_knows_who(sealward: Running, cloud: Cloud) -> None:
    """The name is the actor; the ids of user and project stand beside it, and the request's."""
    answer = ask(sealward, cloud.token("olga"), "POST")
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    (created,) = [one for one in events if one["type"] == "sign.created"]

    assert answer.status == 201
    assert created["actor"] == "user:olga"
    assert created["origin"] == {"user_id": cloud.ids["olga"], "project_id": cloud.ids["project:operations"]}
    assert created["request_id"] == answer.headers["x-openstack-request-id"]


@pytest.mark.parametrize("user", PERSONAS)
def test_a_persona_may_what_its_rules_say(remembering: Running, cloud: Cloud, user: str) -> None:
    """The same rules for Keystone's users as for local tokens; nothing is written meanwhile."""
    token, before = cloud.token(user), head(remembering)
    fill = {"{server_id}": BATCH, "{node_id}": "99", "{task_id}": "t", "{topic}": "sign.created"}
    refused = set()
    ruled = {(one.method, one.template): one.rules[0] for one in described_calls() if one.rules}
    del ruled["GET", "/metrics"]  # they are public
    for method, template in ruled:
        path = f"{template}?detailed" if template == "/healthcheck" else template
        for name, value in fill.items():
            path = path.replace(name, value)
        if remembering.ask(method, path, {}, headers={"X-Auth-Token": token}).status == 403:
            refused.add((method, template))

    assert refused == {call for call, rule in ruled.items() if PERSONAS[user] not in rule.roles}
    assert head(remembering) == before


@pytest.mark.parametrize(
    "token", [None, "", "garbage", "gAAAAABn" + "x" * 180, "x" * 5000, "a b", "\xff\xfe"]
)
def test_what_is_no_token_is_401(shared: Running, cloud: Cloud, token: str | None) -> None:
    """The answer says where to get one."""
    before = head(shared)
    answer = ask(shared, token, "POST")

    assert (answer.status, answer.json["error"]["reason"]) == (401, "auth.required")
    assert answer.headers["www-authenticate"] == f'Keystone uri="{cloud.keystone.url}"'
    assert head(shared) == before


def test_a_revoked_token_is_worthless_at_once(shared: Running, cloud: Cloud) -> None:
    """No token is remembered unless the settings say so."""
    token = cloud.token("olga")
    before = ask(shared, token).status
    cloud.revoke(token)

    assert (before, ask(shared, token).status) == (200, 401)


def test_an_expired_token_is_worthless(shared: Running, cloud: Cloud) -> None:
    """Its time is over, and nobody had to do anything."""
    token = str(cloud.credential("olga", "brief", expires_at=soon(3)).get_token())
    before = ask(shared, token).status
    until(lambda: ask(shared, token).status == 401)

    assert before == 200


def test_access_rules_of_an_application_credential_hold(shared: Running, cloud: Cloud) -> None:
    """A credential for one call is good for that call alone."""
    cloud.register(shared.url)
    rule = {"service": "integrity", "method": "GET", "path": "/v1/node"}
    token = str(cloud.credential("olga", "narrow", access_rules=[rule]).get_token())

    assert [ask(shared, token, path=path).status for path in ("/v1/node", "/v1/sign")] == [200, 401]


def test_remembered_tokens_pass_as_long_as_the_settings_say(remembering: Running, cloud: Cloud) -> None:
    """That is what SEALWARD_KEYSTONE_CACHE_TIME buys, and what it costs."""
    token = cloud.token("olga")
    before = ask(remembering, token).status
    cloud.revoke(token)

    assert (before, ask(remembering, token).status) == (200, 200)


SPOOFED = {
    "X-Identity-Status": "Confirmed",
    "X-Roles": "admin",
    "X-User-Id": "somebody",
    "X-User-Name": "admin",
    "X-Project-Id": "somewhere",
    "X-Is-Admin-Project": "True",
    "OpenStack-System-Scope": "all",
    "X-Service-Identity-Status": "Confirmed",
    "X-Service-Roles": "service",
}


def test_spoofed_headers_count_for_nothing(shared: Running, cloud: Cloud) -> None:
    """Neither in place of a token nor beside a weak one."""
    before = head(shared)
    statuses = [ask(shared, token, "POST", **SPOOFED).status for token in (None, "x", cloud.token("mia"))]

    assert statuses == [401, 401, 403]
    assert head(shared) == before


def test_spoofed_headers_beside_a_good_token_change_nobody(sealward: Running, cloud: Cloud) -> None:
    """The log shows whose token it was."""
    ask(sealward, cloud.token("olga"), "POST", **SPOOFED)
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    (created,) = [one for one in events if one["type"] == "sign.created"]

    assert (created["actor"], created["origin"]["user_id"]) == ("user:olga", cloud.ids["olga"])


def test_a_name_in_any_script_is_an_actor(sealward: Running, cloud: Cloud) -> None:
    """Keystone's names are Unicode."""
    ask(sealward, cloud.token("zoë"), "POST")
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]

    assert "user:zoë" in {one["actor"] for one in events}


def test_without_keystone_nobody_is_let_in_or_turned_away(sealward: Running, cloud: Cloud) -> None:
    """503 with Retry-After, nothing written; public paths answer; it goes on when Keystone is back."""
    token, before = cloud.token("olga"), head(sealward)
    cloud.keystone.stop()
    try:
        answer = ask(sealward, token, "POST")
        health = ask(sealward, None, path="/healthcheck").status
    finally:
        cloud.keystone.start()

    assert (answer.status, answer.json["error"]["reason"]) == (503, "auth.unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert health == 200
    assert head(sealward) == before
    assert ask(sealward, token, "POST").status == 201


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "mia", "project": "operations"}])
def test_a_service_user_that_may_not_ask_is_the_operators_error(cloud: Cloud, wrong: dict[str, str]) -> None:
    """503, not 401: there is nothing wrong with the token."""
    tokens = KeystoneTokens(dataclasses.replace(cloud.settings(), **wrong))  # type: ignore[arg-type]  # texts
    request = falcon.testing.create_req(headers={"X-Auth-Token": cloud.token("olga")})
    request.context.request_id = "req-1"

    with pytest.raises(Problem) as refused:
        tokens.who(request)
    assert (refused.value.status, refused.value.reason) == (503, "auth.unavailable")


def test_a_keystone_that_hangs_takes_not_all_threads(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask, each gets its 503, and what needs no token is answered meanwhile."""
    monkeypatch.setattr(keystone, "TIMEOUT", 3)
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/v3"
    settings = Settings(keystone=cloud.settings(auth_url=url))
    with ThreadPoolExecutor(24) as pool, running(tmp_path, settings=settings, quiet=False) as sealward:
        turns = vars(sealward.embedded.control_plane.services.identify)["_turns"]
        with silent:  # it takes connections, and says nothing
            asked = [pool.submit(ask, sealward, "token") for _ in range(24)]
            until(lambda: turns._value == 0)
            took = until(lambda: ask(sealward, None, path="/healthcheck").status == 200)
            until(lambda: sum(one.done() for one in asked) >= 24 - keystone.AT_ONCE)

        assert took < keystone.TIMEOUT
        assert {one.result(30).status for one in asked} == {503}


def test_a_file_can_hold_the_settings(tmp_path: Path, cloud: Cloud) -> None:
    """The section that all services of OpenStack have."""
    file = tmp_path / "keystone.ini"
    file.write_text(
        f"""[keystone_authtoken]
auth_type = password
auth_url = {cloud.keystone.url}
www_authenticate_uri = https://keystone.example/v3
username = {SERVICE_USER}
password = {PASSWORD}
user_domain_name = Default
project_name = service
project_domain_name = Default
"""
    )
    settings = Settings(keystone=KeystoneSettings(config_file=file))
    with running(tmp_path / "data", settings=settings, token=cloud.token("admin")) as sealward:
        token = cloud.token("rita")
        before = ask(sealward, token).status
        cloud.revoke(token)

        assert (before, ask(sealward, token).status) == (200, 401)
        assert ask(sealward, "x").headers["www-authenticate"] == 'Keystone uri="https://keystone.example/v3"'


def test_no_token_is_kept_or_logged(tmp_path: Path, cloud: Cloud) -> None:
    """No token, good or bad, and no password is in the log, the data, or an answer."""
    good, bad, forbidden = cloud.token("olga"), cloud.token("arne"), cloud.token("mia")
    cloud.revoke(bad)
    said = []
    with started(tmp_path, SEALWARD_LOG_LEVEL="debug", **cloud.environment()) as process:
        for server_id, token in ((WEB, good), (DATABASE, bad), (BATCH, forbidden), (BATCH, "garbage" * 20)):
            said.append(str(process.ask("POST", "/v1/sign", {"server_id": server_id}, token=token)))
        statuses = [int(one[1:4]) for one in said]
        process.end()
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    written = "".join(said) + "".join(one.read_text(errors="replace") for one in files)

    assert statuses == [201, 401, 403, 401]
    assert "token=$(openstack token issue" in (tmp_path / "out").read_text()
    assert {"out", "err", "log.sqlite"} <= {one.name for one in files}
    for secret in (good, bad, forbidden, "garbage" * 20, PASSWORD):
        assert secret not in written


def test_no_token_is_issued_that_is_good_for_nothing(tmp_path: Path, cloud: Cloud) -> None:
    """The message says where tokens come from."""
    done = sealward_command(tmp_path, "token", "issue", "olga", **cloud.environment())

    assert (done.returncode, done.stdout) == (2, "")
    assert "openstack token issue" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs www_authenticate_uri"),
        (
            "auth_type = password\nauth_url = http://k/\ntoken_cache_time = soon",
            "token_cache_time",
        ),
        ("auth_type = nonsense", "nonsense"),
        ("[", "Failed to parse"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_start(tmp_path: Path, text: str, message: str) -> None:
    """The message says what is wrong with it."""
    file = tmp_path / "keystone.ini"
    file.write_text(f"[keystone_authtoken]\n{text}\n")

    with pytest.raises(SettingRefused, match=message):
        KeystoneTokens(KeystoneSettings(config_file=file))
