"""Bad input gets a clear error with a stable code and a request id; never a 500; nothing is written."""

from __future__ import annotations

import http.client
import json
import re
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import WEB, Answer, Running

UNKNOWN = "00000000-0000-4000-8000-000000000000"
DEEP = b'{"server_id":' + b"[" * 20_000 + b"]" * 20_000 + b"}"

BODIES = {
    "no body": (b"", 400, "body.missing"),
    "no JSON": (b"{", 400, "body.malformed"),
    "not UTF-8": (b'{"server_id": "\xff"}', 400, "body.malformed"),
    "an array": (b"[]", 400, "body.malformed"),
    "null": (b"null", 400, "body.malformed"),
    "a missing field": (b"{}", 400, "body.malformed"),
    "an unknown field": (json.dumps({"server_id": WEB, "force": True}).encode(), 400, "body.malformed"),
    "a wrong type": (b'{"server_id": 7}', 400, "body.malformed"),
    "no UUID": (b'{"server_id": "web-1"}', 400, "server.bad-uuid"),
    "a UUID with braces": (json.dumps({"server_id": "{" + WEB + "}"}).encode(), 400, "server.bad-uuid"),
    "nesting without end": (DEEP, 400, "body.malformed"),
    "too much": (b'{"server_id": "' + b"a" * 70_000 + b'"}', 413, "body.too-large"),
}
PATHS = [
    ("GET", "/v1/sign/not-a-uuid", 400, "server.bad-uuid"),
    ("GET", "/v1/sign/" + "9" * 5000, 400, "server.bad-uuid"),
    ("GET", f"/v1/sign/{UNKNOWN}", 404, "sign.not-found"),
    ("GET", f"/v1/sign/{UNKNOWN}/verdict", 404, "sign.not-found"),
    ("GET", f"/v1/sign/{UNKNOWN}/events", 404, "sign.not-found"),
    ("DELETE", f"/v1/sign/{UNKNOWN}", 404, "sign.not-found"),
    ("POST", f"/v1/sign/{UNKNOWN}/validate", 404, "sign.not-found"),
    ("GET", "/v1/sign?offset=-1", 400, "parameter.bad-number"),
    ("GET", "/v1/sign?limit=1e3", 400, "parameter.bad-number"),
    ("GET", "/v1/sign?limit=99999999999999999999", 400, "parameter.bad-number"),
    ("GET", "/v1/sign?limit=", 400, "parameter.bad-number"),
    ("GET", "/v1/sign?limit=1&limit=2", 400, "parameter.twice"),
    ("GET", "/v1/sign?limit=1&$limit=2", 400, "parameter.twice"),
    ("GET", "/v1/sign?limit=1,2", 400, "parameter.bad-number"),
    ("GET", "/v1/sign?colour=red", 400, "parameter.unknown"),
    ("GET", "/v1/sign?is_valid=maybe", 400, "parameter.bad-choice"),
    ("GET", "/v1/server?signed=perhaps", 400, "parameter.bad-choice"),
    ("GET", "/v1/node/99", 404, "node.not-found"),
    ("GET", "/v1/node/-1", 400, "parameter.bad-number"),
    ("GET", "/v1/task/none", 404, "task.not-found"),
    ("GET", "/v1/task/of:a{celery}~client", 404, "task.not-found"),
    ("GET", "/v1/task/%00", 400, "parameter.bad-word"),
    ("GET", "/v1/task/" + "t" * 256, 400, "parameter.bad-word"),
    ("GET", "/v1/nowhere", 404, "path.not-found"),
    ("GET", "/v2/sign", 404, "path.not-found"),
    ("DELETE", "/v1/sign", 405, "method.not-allowed"),
    ("PATCH", "/v1/sign", 405, "method.not-allowed"),
    ("POST", f"/v1/sign/{WEB}/verdict", 405, "method.not-allowed"),
    ("TRACE", "/v1/sign", 405, "method.not-allowed"),
    ("BREW", "/v1/sign", 405, "method.not-allowed"),
    ("WEBSOCKET", "/v1/sign", 400, "request.malformed"),
]


def is_refused(answer: Answer, status: int, reason: str) -> None:
    """Check that an answer is the one form that errors have."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    error = answer.json["error"]
    assert list(error) == ["code", "title", "message", "reason", "request_id"]
    assert (error["code"], error["reason"]) == (status, reason)
    assert error["message"]
    assert error["request_id"] == answer.headers["x-openstack-request-id"]
    assert re.fullmatch(r"req-[0-9a-f-]{36}", error["request_id"])
    assert b"Traceback" not in answer.body


def head(sealward: Running) -> int:
    """Return the position of the log."""
    return sealward.embedded.control_plane.store.head()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "status", "reason"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_as_it_must_be(
    shared: Running, method: str, body: bytes, status: int, reason: str
) -> None:
    """For each fault, the request is refused and nothing is written."""
    before = head(shared)
    is_refused(shared.ask(method, "/v1/sign", raw=body), status, reason)
    assert head(shared) == before


@pytest.mark.parametrize(("method", "path", "status", "reason"), PATHS)
def test_a_path_or_a_query_that_means_nothing(
    shared: Running, method: str, path: str, status: int, reason: str
) -> None:
    """For each kind of resource that is not there, the code says so."""
    before = head(shared)
    is_refused(shared.ask(method, path), status, reason)
    assert head(shared) == before


def test_a_wrong_method_is_told_which_are_right(shared: Running) -> None:
    """The Allow header lists the methods."""
    allowed = shared.ask("DELETE", "/v1/sign").headers["allow"]

    assert {"GET", "POST", "PUT"} <= set(allowed.replace(" ", "").split(","))


def test_a_server_that_no_node_reports(shared: Running) -> None:
    """A POST for it is 404 with a code of its own, a PUT says that it is not signed."""
    is_refused(shared.ask("POST", "/v1/sign", {"server_id": UNKNOWN}), 404, "server.not-found")
    is_refused(shared.ask("PUT", "/v1/sign", {"server_id": UNKNOWN}), 404, "sign.not-found")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_of_another_media_type(shared: Running, kind: str) -> None:
    """Only JSON is read as JSON."""
    answer = shared.ask("POST", "/v1/sign", {"server_id": WEB}, headers={"Content-Type": kind})

    is_refused(answer, 415, "body.not-json")


@pytest.mark.parametrize("body", [{"action": "x"}, {"action": None}, {}, {"action": "activate", "x": 1}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_action_that_is_none(shared: Running, method: str, body: object) -> None:
    """Nothing is switched."""
    before = head(shared)
    is_refused(shared.ask(method, "/v1/sign/node/1/action", body), 400, "body.malformed")
    assert head(shared) == before


def test_an_action_on_no_node(shared: Running) -> None:
    """404, for any id of a node."""
    answer = shared.ask("POST", "/v1/sign/node/99/action", {"action": "activate"})

    is_refused(answer, 404, "node.not-found")


def test_a_server_is_signed_once(sealward: Running) -> None:
    """The second POST is a conflict that says what to do."""
    sealward.sign()
    before = head(sealward)
    answer = sealward.ask("POST", "/v1/sign", {"server_id": WEB.upper()})

    is_refused(answer, 409, "sign.exists")
    assert "PUT" in answer.json["error"]["message"]
    assert head(sealward) == before


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_bytes_as_a_body_are_refused(shared: Running, body: bytes) -> None:
    """Garbage never gets in and never breaks anything."""
    answer = shared.ask("POST", "/v1/sign", raw=body)

    assert answer.status == 400
    assert answer.json["error"]["reason"] in {"body.missing", "body.malformed", "server.bad-uuid"}


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/sign HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/sign HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\nX-Auth-Token: \xff\xfe\r\n\r\n",
        b"GET /v1/sign HTTP/1.1\r\nX-Auth-Token: " + b"a" * 300_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_breaks_nothing(shared: Running, raw: bytes) -> None:
    """The connection gets a 4xx or is closed; the service goes on."""
    where = urlsplit(shared.url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=5) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        first = connection.recv(200)

    assert b" 500 " not in first
    assert shared.ask("GET", "/healthcheck").status == 200


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b"GARBAGE\r\n\r\n", 400, "http.malformed"),
        (b"POST /v1/sign HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400, "http.malformed"),
        (b"POST /v1/sign HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "http.not-implemented"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 300_000 + b"\r\n\r\n", 431, "http.too-large"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, "http.too-large"),
    ],
)
def test_the_server_itself_answers_in_the_same_form(
    shared: Running, raw: bytes, status: int, reason: str
) -> None:
    """What never becomes a request has a code, a reason and an id all the same."""
    where = urlsplit(shared.url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=5) as connection:
        connection.sendall(raw)
        with http.client.HTTPResponse(connection) as got:
            got.begin()
            headers = {name.lower(): value for name, value in got.getheaders()}
            answer = Answer(got.status, headers, got.read())

    is_refused(answer, status, reason)
