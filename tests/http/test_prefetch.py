"""Over PostgreSQL a GET of a sign is one round trip: its row is prefetched with the token; none is cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import falcon.testing
import pytest
from factories import SERVER, event

from sealward.control.role import Role
from sealward.control_plane import Core
from sealward.events.base import sign_stream
from sealward.events.sign import SignCreated, SignSealed
from sealward.events.store.postgres_connections import Connection, Connections
from sealward.settings import Settings

NOWHERE = "ee57ad11-5c74-4e49-bf2d-46858570b3a1"

Get = Callable[[str, str], falcon.testing.Result]


@pytest.fixture
def core(database: str, tmp_path: Path) -> Iterator[Core]:
    """Yield a control plane over PostgreSQL that knows one sign."""
    made = Core(Settings(data_dir=tmp_path, database_url=database), seals=False)
    made.store.append(sign_stream(SERVER), 0, [event(SignCreated), event(SignSealed)])
    while made.projections.advance(made.store):
        pass
    yield made
    made.close()


@pytest.fixture
def get(core: Core) -> Get:
    """Return what asks for a path with a token."""
    client = falcon.testing.TestClient(core.app)
    return lambda path, secret: client.simulate_get(path, headers={"X-Auth-Token": secret})


@pytest.fixture
def secret(core: Core) -> str:
    """Return a good token."""
    return core.tokens.issue("alice", Role.AUDITOR)


def shapes(server_id: str) -> tuple[str, ...]:
    """Return the ways in which a client may write a UUID."""
    return server_id, server_id.upper(), server_id.replace("-", "")


@pytest.mark.parametrize("call", ["", "/verdict"])
@pytest.mark.parametrize("written", shapes(SERVER))
def test_the_row_is_the_one_that_was_asked_for(get: Get, secret: str, call: str, written: str) -> None:
    """However the client writes the server's id."""
    found = get(f"/v1/sign/{written}{call}", secret).json

    assert found["verdict" if call else "sign"]["server_id"] == SERVER


def test_one_loan_of_a_connection_answers(get: Get, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token and row are one statement."""
    loans, lend = [], Connections.lend

    def counted(connections: Connections) -> Connection:
        loans.append(connections)
        return lend(connections)

    monkeypatch.setattr(Connections, "lend", counted)
    statuses = [get(f"/v1/sign/{one}", secret).status_code for one in (SERVER, NOWHERE)]

    assert statuses == [200, 404]
    assert len(loans) == 2


def test_a_revoked_token_never_passes(core: Core, get: Get, secret: str) -> None:
    """Not for a moment, and however often it was good before."""
    before = [get(f"/v1/sign/{SERVER}", secret).status_code for _ in range(7)]
    core.tokens.revoke("alice")

    assert set(before) == {200}
    assert get(f"/v1/sign/{SERVER}", secret).json["error"]["reason"] == "auth.required"


def test_what_has_changed_is_seen_at_once(core: Core, get: Get, secret: str) -> None:
    """A row is never older than the request."""
    before = get(f"/v1/sign/{SERVER}/verdict", secret).json["verdict"]["generation"]
    core.store.append(sign_stream(SERVER), 2, [event(SignSealed, generation=2)])
    core.projections.advance(core.store)

    assert (before, get(f"/v1/sign/{SERVER}/verdict", secret).json["verdict"]["generation"]) == (1, 2)


@pytest.mark.parametrize(
    ("path", "with_token", "without"),
    [
        (f"/v1/sign/{NOWHERE}", "sign.not-found", "auth.required"),
        ("/v1/sign/no-uuid", "server.bad-uuid", "auth.required"),
        ("/v1/sign/%00", "server.bad-uuid", "auth.required"),
        (f"/v1/sign/{SERVER}?at=then", "parameter.bad-time", "auth.required"),
        (f"/v1/sign/{SERVER}?other=1", "parameter.unknown", "auth.required"),
        ("/v1/nothing/here", "path.not-found", "auth.required"),
    ],
)
def test_who_asks_comes_before_what_is_wrong(
    get: Get, secret: str, path: str, with_token: str, without: str
) -> None:
    """Nobody without a token learns what there is."""
    assert get(path, secret).json["error"]["reason"] == with_token
    assert get(path, "wrong").json["error"]["reason"] == without


def test_the_envelope_in_force_is_shown(get: Get, secret: str) -> None:
    """It has rows of its own."""
    assert get(f"/v1/sign/{SERVER}/envelope", secret).json == {"payload": "e30=", "signatures": []}
    assert get(f"/v1/sign/{NOWHERE}/envelope", secret).status_code == 404
