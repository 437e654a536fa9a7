"""One contract for every event store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from factories import ONE_OF_EACH, event

from sealward.events.base import node_stream, sign_stream
from sealward.events.node import NodeActivated
from sealward.events.sign import SignCreated, SignRevoked
from sealward.events.store import store as stores
from sealward.events.store.store import EventStore, Loaded, Snapshot, VersionConflict

STREAM = sign_stream("s")
CREATED, REVOKED = event(SignCreated), event(SignRevoked)


def test_a_stream_reads_back_as_it_was_appended(store: EventStore) -> None:
    """Every kind of event survives the store, in order, and a tail can be read."""
    store.append(STREAM, 0, ONE_OF_EACH)

    assert list(ONE_OF_EACH) == store.read(STREAM)
    assert list(ONE_OF_EACH[3:]) == store.read(STREAM, after=3)
    assert store.read(sign_stream("other")) == []


def test_the_second_writer_of_a_version_is_refused_whole(store: EventStore) -> None:
    """Of two appends at one version one wins; nothing of the other is kept."""
    store.append(STREAM, 0, [CREATED])

    with pytest.raises(VersionConflict):
        store.append(STREAM, 0, [REVOKED, REVOKED])
    assert store.read(STREAM) == [CREATED]


def test_the_log_is_followed_in_order_and_in_parts(store: EventStore) -> None:
    """Following yields every event once, with its position, stream and version."""
    store.append(STREAM, 0, [CREATED, REVOKED])
    last = store.append(node_stream("n"), 0, [event(NodeActivated)])
    first = store.follow(0, limit=2)
    rest = store.follow(first[-1].position, limit=2)

    assert [(one.version, one.event) for one in first] == [(1, CREATED), (2, REVOKED)]
    assert [(last, node_stream("n"), 1)] == [(one.position, one.stream, one.version) for one in rest]
    assert last == store.head()


def test_the_log_is_read_in_batches_to_its_end(store: EventStore) -> None:
    """In order, none twice, also what is appended meanwhile; who stops leaves nobody reading."""
    store.append(STREAM, 0, ONE_OF_EACH[:5])
    batches = store.batches(1, 2)
    seen = [[one.position for one in next(batches)]]
    store.append(STREAM, 5, ONE_OF_EACH[5:6])
    seen += [[one.position for one in batch] for batch in batches]
    stopped = store.batches(0, 2)
    next(stopped)
    stopped.close()

    assert [position for batch in seen for position in batch] == [2, 3, 4, 5, 6]
    assert max(len(batch) for batch in seen) == 2
    assert list(store.batches(6, 2)) == []
    assert not [one for one in threading.enumerate() if one.name.startswith("reader")]


def test_an_empty_log_has_no_head(store: EventStore) -> None:
    """The head of an empty log is 0, and following it yields nothing."""
    assert (store.head(), store.follow(0)) == (0, [])


def test_ids_are_given_out_once_each(store: EventStore) -> None:
    """Many threads get 1, 2, 3 … and every name has its own count."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: store.next_id("sign"), range(40)))

    assert sorted(ids) == list(range(1, 41))
    assert store.next_id("node") == 1


def test_an_append_wakes_who_waits(store: EventStore) -> None:
    """A waiting thread goes on when the log grows, long before its time is over."""
    woken: list[bool] = []
    waiter = threading.Thread(target=lambda: woken.append(store.wait_beyond(0, 30)))
    waiter.start()
    store.append(STREAM, 0, [CREATED])
    waiter.join(5)

    assert woken == [True]
    assert not store.wait_beyond(store.head(), 0.01)


def test_events_of_many_streams_are_appended_together(store: EventStore) -> None:
    """In the order in which they are given, streams among each other too; or none of them."""
    node = node_stream("n")
    batch = [(STREAM, 1, CREATED), (node, 1, event(NodeActivated)), (STREAM, 2, REVOKED)]
    last = store.append_all(batch)

    assert [(one.stream, one.version, one.event) for one in store.follow(0)] == batch
    assert last == store.head()
    with pytest.raises(VersionConflict):
        store.append_all([(node, 2, event(NodeActivated)), (STREAM, 2, REVOKED)])
    assert (store.head(), len(store.read(node))) == (last, 1)


def test_many_streams_are_loaded_together(store: EventStore) -> None:
    """Each from its newest snapshot, where that has the wanted topic, and in order."""
    other, third = sign_stream("other"), sign_stream("third")
    store.append(STREAM, 0, [CREATED, REVOKED, CREATED, REVOKED])
    store.append(other, 0, [CREATED, REVOKED])
    store.keep_snapshots([Snapshot(STREAM, 2, "sign/1", b"older state")])
    older = Snapshot(other, 1, "sign/0", b"of an older shape")
    store.keep_snapshots([Snapshot(STREAM, 3, "sign/1", b"state"), older])
    loaded = store.load(dict.fromkeys((STREAM, other, third), "sign/1"))

    assert loaded[STREAM] == Loaded(Snapshot(STREAM, 3, "sign/1", b"state"), [REVOKED])
    assert loaded[other] == Loaded(None, [CREATED, REVOKED])
    assert loaded[third] == Loaded(None, [])
    assert store.load({}) == {}


@pytest.mark.parametrize(
    ("known", "snapshot", "versions"),
    [(0, 3, [4, 5]), (2, 3, [4, 5]), (3, None, [4, 5]), (4, None, [5]), (5, None, [])],
)
@pytest.mark.parametrize("others", [(), (sign_stream("other"),)], ids=["alone", "with-another"])
def test_what_is_known_is_not_read_again(
    store: EventStore, others: tuple[UUID, ...], known: int, snapshot: int | None, versions: list[int]
) -> None:
    """Neither events nor a snapshot; what is beyond is read as ever."""
    events = [event(SignRevoked, actor=f"user:{version}") for version in range(1, 6)]
    store.append(STREAM, 0, events)
    store.keep_snapshots([Snapshot(STREAM, 3, "sign/1", b"state")])
    loaded = store.load(dict.fromkeys((STREAM, *others), "sign/1"), {STREAM: known})

    assert loaded[STREAM].events == [events[version - 1] for version in versions]
    assert (loaded[STREAM].snapshot is None) == (snapshot is None)
    assert all(loaded[one] == Loaded(None, []) for one in others)


def test_the_newest_snapshot_is_found(store: EventStore) -> None:
    """Keeping a snapshot twice is harmless; the newest is the one that counts."""
    for version in (50, 100, 100):
        store.keep_snapshots([Snapshot(STREAM, version, "sign", b"{}")])

    assert store.snapshot(STREAM) == Snapshot(STREAM, 100, "sign", b"{}")
    assert store.snapshot(sign_stream("other")) is None


def test_concurrent_writers_lose_and_double_nothing(store: EventStore) -> None:
    """Eight writers, a stream each, and a reader that tails the log: it misses nothing."""
    seen: list[int] = []

    def write(number: int) -> None:
        for version in range(20):
            store.append(sign_stream(str(number)), version, [REVOKED])

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, number) for number in range(8)]
        while len(seen) < 160:
            found = store.follow(seen[-1] if seen else 0)
            seen += [one.position for one in found]
            if not found and all(writer.done() for writer in writers):
                found = store.follow(seen[-1] if seen else 0)
                seen += [one.position for one in found]
                break
        for writer in writers:
            writer.result()

    assert len(seen) == 160
    assert seen == sorted(set(seen))


def test_sqlite_keeps_the_log_when_it_is_closed(tmp_path: Path) -> None:
    """A restart loses nothing and gives out no id twice."""
    first = stores.sqlite(tmp_path / "log.sqlite")
    first.append(STREAM, 0, [CREATED])
    first.next_id("sign")
    first.close()
    second = stores.sqlite(tmp_path / "log.sqlite")

    assert second.read(STREAM) == [CREATED]
    assert second.next_id("sign") == 2
    second.close()
