"""Which events each role may append, in which stream: a role tries all kinds, on a real server."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from database_roles import USERS, documented
from factories import ONE_OF_EACH, event

from sealward.events.base import Event
from sealward.events.node import NodeActivated, NodeRegistered, NodeReturned, NodeSwept
from sealward.events.sign import SignCreated, SignPolicySet, SignValidated
from sealward.events.store import roles
from sealward.events.store.postgres import NotAllowed, postgres
from sealward.events.store.store import EventStore, VersionConflict
from sealward.events.wire.codec import EVENTS
from stack.postgres import Postgres


@pytest.fixture(scope="module")
def urls(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the URL of the database for each role."""
    with documented(postgres_server, tmp_path_factory.mktemp("passwords")) as found:
        yield found


@pytest.fixture(params=["api", "worker"], scope="module")
def store(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[tuple[str, EventStore]]:
    """Return the log as a role opens it."""
    role: str = request.param
    with contextlib.closing(postgres(urls[role])) as opened:
        yield USERS[role], opened


KIND = {topic: kind for topic, kind, _ in roles.kinds()}
OPENS = {topic for topic, _, opens in roles.kinds() if opens}
FIRST = {"sign": event(SignCreated), "node": event(NodeRegistered)}
"""An event of each kind that a stream may begin with."""


@pytest.fixture(scope="module")
def owner(urls: dict[str, str]) -> Iterator[EventStore]:
    """Yield the log as the owner opens it."""
    with contextlib.closing(postgres(urls["owner"])) as opened:
        yield opened


def begun(owner: EventStore, kind: str) -> uuid.UUID:
    """Return a stream of that kind, with one event."""
    stream = uuid.uuid4()
    owner.append(stream, 0, [FIRST[kind]])
    return stream


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda one: one.topic)
def test_events_beyond_ones_commands_are_not_appended(
    store: tuple[str, EventStore], owner: EventStore, fact: Event
) -> None:
    """Every kind that there is, by every role."""
    role, log = store
    stream = begun(owner, KIND[fact.topic])
    head = log.head()
    if fact.topic in roles.topics(role):
        assert log.append(stream, 1, [fact]) == head + 1
        return
    with pytest.raises(NotAllowed, match=f"{role} may not append {fact.topic}"):
        log.append(stream, 1, [fact])
    assert log.head() == head


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda one: one.topic)
def test_an_event_is_appended_to_no_stream_of_another_kind(
    store: tuple[str, EventStore], owner: EventStore, fact: Event
) -> None:
    """An order about a sign in a node's stream makes the node unreadable, as does a stream's wrong begin."""
    role, log = store
    other = {"sign": "node", "node": "sign"}[KIND[fact.topic]]
    stream = begun(owner, other)
    for where, version in ((stream, 1), *(((uuid.uuid4(), 0),) if fact.topic not in OPENS else ())):
        with pytest.raises(NotAllowed, match=f"{role} may not append {fact.topic}"):
            log.append(where, version, [fact])
    assert [one.topic for one in log.read(stream)] == [FIRST[other].topic]


def test_versions_follow_each_other(store: tuple[str, EventStore], owner: EventStore) -> None:
    """A hole would make the stream unreadable; a process that loads the stream anew finds its end."""
    role, log = store
    kind, fact = ("sign", SignPolicySet) if role == roles.API else ("node", NodeReturned)
    stream = begun(owner, kind)
    for version in (2, 7, 10**9):
        with pytest.raises(VersionConflict):
            log.append(stream, version, [event(fact)])
    with pytest.raises(VersionConflict):
        log.append_all([(stream, 2, event(fact)), (stream, 4, event(fact))])
    log.append(stream, 1, [event(fact), event(fact)])
    assert len(log.read(stream)) == 3


@pytest.mark.parametrize("role", USERS)
def test_an_event_that_no_process_can_hold_is_not_appended(urls: dict[str, str], role: str) -> None:
    """By nobody: each worker reads all events."""
    call = """SELECT append_events(ARRAY[gen_random_uuid()], ARRAY[1]::bigint[], ARRAY['node.registered'],
        ARRAY[convert_to(repeat('x', 16777217), 'UTF8')])"""
    with psycopg.connect(urls[role]) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(call)


def test_every_kind_of_event_is_somebodys_and_these_are_no_others() -> None:
    """A true, a seal, a sweep are a worker's; a sign, a policy and a key an administrator's."""
    api, worker = roles.topics(roles.API), roles.topics(roles.WORKER)
    worked = {"sign.sealed", "sign.validated", "sign.claimed", "node.swept", "node.lost", "instance.appeared"}

    assert api | worker == set(EVENTS)
    assert worked.isdisjoint(api)
    assert roles.DECISIONS.isdisjoint(worker)


ORDERED = {
    "AcceptFirmware": {"node.firmware-accepted"},
    "ActivateNode": {"node.activated"},
    "AdmitNode": {"node.registered"},
    "CreateSign": {"sign.created"},
    "DeactivateNode": {"node.deactivated"},
    "OrderMove": {"sign.moved"},
    "RemoveNode": {"node.removed"},
    "ReplaceKey": {"node.key-replaced"},
    "RequestValidation": {"sign.validation-requested"},
    "RevokeSign": {"sign.revoked"},
    "SetNodePolicy": {"node.policy-set"},
    "SetServerPolicy": {"sign.policy-set"},
    "UpdateSign": {"sign.updated"},
}
"""Command of the API → the events that come of it; a new one has to be thought of here."""


def test_what_the_api_orders_it_may_append() -> None:
    """Each command that a call of the API gives has its event among those of the API's role."""
    given = {
        found
        for path in (Path(__file__).parents[2] / "sealward/http").glob("*.py")
        for found in re.findall(r"\bask\.([A-Z]\w+)|\b(OrderMove)\(", path.read_text())
    }
    commands = {one or other for one, other in given}

    assert commands == set(ORDERED)
    assert set().union(*ORDERED.values()) <= roles.topics(roles.API)


def test_a_forbidden_event_among_allowed_ones_takes_all_with_it(urls: dict[str, str]) -> None:
    """At each position in the batch."""
    allowed, forbidden = event(NodeActivated), event(SignValidated)
    with contextlib.closing(postgres(urls["api"])) as log:
        head = log.head()
        for batch in ([forbidden, allowed], [allowed, forbidden], [allowed, event(NodeSwept), allowed]):
            with pytest.raises(NotAllowed):
                log.append(uuid.uuid4(), 0, batch)
        assert log.head() == head


@pytest.mark.parametrize("topic", ["", "sign.sealed ", "SIGN.SEALED", "no.such", "sign.created\n"])
def test_a_topic_that_nobody_has_is_nobodys(urls: dict[str, str], topic: str) -> None:
    """The function takes names as they are."""
    call = "SELECT append_events(ARRAY[gen_random_uuid()], ARRAY[1]::bigint[], ARRAY[%s], ARRAY['{}'::bytea])"
    for role in ("api", "worker"):
        with psycopg.connect(urls[role]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(call, (topic,))
