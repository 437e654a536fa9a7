"""What a process knows of streams already is read no more, and is never wrong."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.errors import AlreadySigned, NotSigned, Rejected
from sealward.commands.messages import RequestValidation, RevokeSign, SignCommand, UpdateSign
from sealward.commands.writer.handler import Handler
from sealward.commands.writer.stream_cache import CachedStream, StreamCache
from sealward.events.base import Event, sign_stream
from sealward.events.sign import SignCreated, SignEvent, SignUpdated
from sealward.events.store import store as stores
from sealward.events.store.postgres import migrate, postgres
from sealward.events.store.store import EventStore, Loaded, StoreUnavailable
from stack.postgres import Postgres

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
SERVER = str(uuid.UUID(int=1))
CREATE = Reporter("kvm1", 1).order(SERVER)
UPDATE = UpdateSign(context=RequestContext(actor="user:admin"), server_id=SERVER)
REVOKE = RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVER)
VALIDATE = RequestValidation(context=RequestContext(actor="user:admin"), server_id=SERVER)


def handler(store: EventStore) -> Handler:
    """Return the one writer of a process."""
    return Handler(store, AUTHORITY, clock=lambda: NOW, fresh_for=timedelta(minutes=15))


def test_what_is_known_is_not_read_again() -> None:
    """The second command on a stream reads what others have appended since the first."""
    store = stores.in_memory()
    read: list[int] = []
    load = store.load

    def counted(
        topics: Mapping[uuid.UUID, str], after: Mapping[uuid.UUID, int] | None = None
    ) -> dict[uuid.UUID, Loaded]:
        found = load(topics, after)
        read.extend(len(one.events) for one in found.values())
        return found

    store.load = counted  # type: ignore[method-assign]  # to count
    mine, other = handler(store), handler(store)
    mine.handle(CREATE)
    for _ in range(3):
        mine.handle(VALIDATE)
    other.handle(VALIDATE)
    mine.handle(VALIDATE)

    assert read == [0, 0, 0, 0, 4, 1]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from((CREATE, UPDATE, REVOKE, VALIDATE))), max_size=60))
def test_two_processes_decide_as_one_that_forgets(commands: list[tuple[bool, SignCommand]]) -> None:
    """For every order of their commands: the same facts, the same refusals."""
    together, forgetful = stores.in_memory(), stores.in_memory()
    mine, other = handler(together), handler(together)
    told = [answer(mine if is_mine else other, command) for is_mine, command in commands]

    assert told == [answer(handler(forgetful), command) for _, command in commands]
    assert log(together) == log(forgetful)


def test_what_was_not_appended_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append whose answer was lost may have been done, or not: the log is asked."""
    store = stores.in_memory()
    mine = handler(store)
    mine.handle(CREATE)
    append = store.append_all

    def fails(_: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        raise StoreUnavailable

    def succeeds_unheard(events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        append(events)
        raise StoreUnavailable

    for lost in (fails, succeeds_unheard):
        with monkeypatch.context() as patched:
            patched.setattr(store, "append_all", lost)
            with pytest.raises(StoreUnavailable):
                mine.handle(UPDATE)
    mine.handle(UPDATE)

    generations = [one.generation for one in log(store) if isinstance(one, SignCreated | SignUpdated)]
    assert generations == [1, 2, 3]


def test_another_log_under_the_same_address_is_read_anew(postgres_server: Postgres, database: str) -> None:
    """A backup, or a standby that takes over, may lack what was appended last: then it never happened."""
    store = postgres(database)
    mine = handler(store)
    mine.handle(CREATE)
    mine.handle(UPDATE)
    name = urlsplit(database).path.removeprefix("/")
    postgres_server.drop(name)
    migrate(postgres_server.create(name))

    assert answer(mine, UPDATE) is NotSigned
    assert answer(mine, CREATE) is None
    assert [type(one) for one in log(store)] == [SignCreated]
    store.close()


def test_what_is_remembered_is_bounded_and_of_one_shape() -> None:
    """Those used last stay; a state of another shape is not known."""
    memory = StreamCache(2)
    first, second, third = (sign_stream(str(number)) for number in range(3))
    for stream in (first, second, first, third):
        memory.put(stream, CachedStream("sign/1", None, 1, 0, era=3))

    known = [memory.get(one, "sign/1", 3) is not None for one in (first, second, third)]
    assert known == [True, False, True]
    assert memory.get(first, "sign/2", 3) is None
    assert memory.get(first, "sign/1", 4) is None


def answer(writer: Handler, command: SignCommand) -> type[Rejected] | None:
    """Return how a command was refused."""
    try:
        writer.handle(command)
    except (AlreadySigned, NotSigned) as refused:
        return type(refused)
    return None


def log(store: EventStore) -> list[SignEvent]:
    """Return all events."""
    return [one.event for one in store.follow(0) if isinstance(one.event, SignEvent)]
