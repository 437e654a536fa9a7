"""401 without a good token, 403 for what a role may not, and no token in any log."""

from __future__ import annotations

import ast
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import ADMIN, WEB, Running, running

from sealward.control.role import Role
from sealward.http import app
from sealward.http.auth.identity import strip

RULES = {(one.method, one.template): one.rules[0] for one in app.described_calls() if one.rules}
ROUTES = sorted(one for one in RULES if one[1] != "/metrics")  # which is public unless a setting says not
PUBLIC = {"/", "/v1", "/healthcheck", "/healthcheck/live", "/healthcheck/ready", "/openapi.json"}


def path_of(template: str) -> str:
    """Return a path of a route; there is no such node, for one can be removed."""
    filled = template.replace("{server_id}", WEB).replace("{node_id}", "999").replace("{task_id}", "t")
    return "/healthcheck?detailed" if template == "/healthcheck" else f"/v1{filled}"


@pytest.mark.parametrize(("method", "template"), ROUTES)
@pytest.mark.parametrize("token", [None, "", "wrong", "x" * 5000])
def test_without_a_good_token_there_is_nothing(
    shared: Running, method: str, template: str, token: str | None
) -> None:
    """Every route asks for one, and says how."""
    answer = shared.ask(method, path_of(template), {}, headers={"X-Auth-Token": token})

    assert answer.status == 401
    assert answer.json["error"]["reason"] == "auth.required"
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(("method", "template"), ROUTES)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_its_rules_say(shared: Running, role: Role, method: str, template: str) -> None:
    """403 for the rest, before the body is even looked at; nothing is written."""
    token = shared.token_of(role)
    before = shared.embedded.control_plane.store.head()
    answer = shared.ask(method, path_of(template), {}, headers={"X-Auth-Token": token})

    if role in RULES[method, template].roles:
        assert answer.status in {200, 202, 400, 404}
    else:
        assert (answer.status, answer.json["error"]["reason"]) == (403, "auth.forbidden")
    assert shared.embedded.control_plane.store.head() == before


def test_only_who_may_see_proof_asks_about_the_past(shared: Running) -> None:
    """`at` has a rule of its own, however it is written."""
    asked = {
        (role, path): shared.ask("GET", path, headers={"X-Auth-Token": shared.token_of(role)}).status
        for role in (Role.READER, Role.AUDITOR)
        for path in ("/v1/sign?at=2026-01-02T03:04:05Z", "/sign?$at=2026-01-02T03:04:05Z")
    }

    assert {path: 403 for role, path in asked if role is Role.READER} == {
        path: status for (role, path), status in asked.items() if role is Role.READER
    }
    assert {status for (role, _), status in asked.items() if role is Role.AUDITOR} == {200}


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_discovery_and_health_need_no_token(shared: Running, path: str) -> None:
    """A load balancer has none."""
    assert shared.ask("GET", path, headers={"X-Auth-Token": None}).status == 200


def test_nothing_else_is_public() -> None:
    """Each call has a rule, but those, and the metrics while a setting has them public."""
    assert {one.template for one in app.described_calls() if one.rule is None} == PUBLIC - {
        "/openapi.json"
    } | {"/metrics"}


def test_claims_in_other_headers_count_for_nothing(shared: Running) -> None:
    """Neither an identity nor a request id is taken from a client."""
    claims: dict[str, str | None] = {
        "X-Auth-Token": None,
        "X-Identity-Status": "Confirmed",
        "X-Roles": "admin",
        "X-User-Name": "admin",
        "X-Openstack-Request-Id": "req-mine",
        "X-Forwarded-User": "admin",
    }
    answer = shared.ask("GET", "/v1/sign", headers=claims)

    assert answer.status == 401
    assert answer.headers["x-openstack-request-id"] != "req-mine"


def test_a_revoked_token_is_worthless_at_once(shared: Running) -> None:
    """Without a restart."""
    tokens = shared.embedded.control_plane.tokens
    secret = tokens.issue("leaver", Role.ADMIN)
    before = shared.ask("GET", "/v1/sign", headers={"X-Auth-Token": secret}).status
    tokens.revoke("leaver")

    assert before == 200
    assert shared.ask("GET", "/v1/sign", headers={"X-Auth-Token": secret}).status == 401


def test_an_expired_token_is_worthless(shared: Running) -> None:
    """Its time is over, and nobody had to do anything."""
    secret = shared.embedded.control_plane.tokens.issue(
        "guest", Role.READER, datetime.now(UTC) - timedelta(seconds=1)
    )

    assert shared.ask("GET", "/v1/sign", headers={"X-Auth-Token": secret}).status == 401


def test_the_log_shows_who_it_was(sealward: Running) -> None:
    """The actor of an order is the user of the token."""
    secret = sealward.embedded.control_plane.tokens.issue("alice", Role.ADMIN)
    sealward.ask("POST", "/v1/sign", {"server_id": WEB}, headers={"X-Auth-Token": secret})
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]

    assert [one["actor"] for one in events if one["type"] == "sign.created"] == ["user:alice"]


def test_no_token_is_kept_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the bootstrap token nor an issued one is in any file or log line."""
    caplog.set_level(logging.DEBUG)
    with running(tmp_path) as sealward:
        secret = sealward.embedded.control_plane.tokens.issue("alice", Role.ADMIN)
        sealward.ask("POST", "/v1/sign", {"server_id": WEB}, headers={"X-Auth-Token": secret})
        sealward.ask("GET", "/v1/sign", headers={"X-Auth-Token": secret + "x"})
        sealward.sign("ee57ad11-5c74-4e49-bf2d-46858570b3a1")
    written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())

    for token in (ADMIN, secret):
        assert token.encode() not in written
        assert token not in caplog.text


def test_identity_headers_never_reach_the_application() -> None:
    """Each header that keystonemiddleware may set is removed, in any spelling; other headers stay."""
    spoofed = (
        *("X-Identity-Status", "X-User", "X-User-Id", "X-User-Name", "X-User-Domain-Id", "X-Role", "X-Roles"),
        *("X-Project-Id", "X-Project-Name", "X-Project-Domain-Name", "X-Domain-Id", "X-Domain-Name"),
        *(
            "X-Is-Admin-Project",
            "X-Tenant",
            "X-Tenant-Id",
            "X-Tenant-Name",
            "OpenStack-System-Scope",
            "x_roles",
        ),
        *("X-Service-Identity-Status", "X-Service-Catalog", "X-Service-Roles", "X-Service-Token"),
    )
    env = {f"HTTP_{name.upper().replace('-', '_')}": "admin" for name in spoofed}
    env |= {"HTTP_X_AUTH_TOKEN": "t", "HTTP_ACCEPT": "*/*", "PATH_INFO": "/"}
    strip(env)

    assert env == {"HTTP_X_AUTH_TOKEN": "t", "HTTP_ACCEPT": "*/*", "PATH_INFO": "/"}


def test_every_order_says_where_it_came_from() -> None:
    """A command of HTTP is made with the context of its request: actor, ids of user, project and request."""
    contexts = [
        ast.unparse(word.value)
        for file in Path(app.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "context"
    ]

    assert len(contexts) >= 6
    assert all(one.startswith("context_of(req") for one in contexts)
