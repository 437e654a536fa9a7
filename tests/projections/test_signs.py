"""The rows of signs follow from the log, however it is cut into batches."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

import pytest
from factories import LATER, NOON, SERVER, event, recorded
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sealward.events.base import Event
from sealward.events.comparison.binding import Binding
from sealward.events.is_valid import IsValid
from sealward.events.node import InstanceLeft, NodeDeactivated, NodeLost, NodeSwept, Withheld
from sealward.events.sign import SignCreated, SignMoved, SignRevoked, SignSealed, SignUpdated, SignValidated
from sealward.projections.signs import SignRow, Signs
from sealward.projections.store.tables import SqliteTables, Tables


def view() -> Tables:
    """Return the tables of an empty view in memory."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    tables = SqliteTables(connection.cursor())
    Signs().reset(tables)
    return tables


def moment(second: int) -> datetime:
    """Return the moment that many seconds after noon."""
    return NOON + timedelta(seconds=second)


def validated(second: int, *, valid: bool, server_id: str = SERVER, sign_id: int = 115) -> SignValidated:
    """Return a verdict of that second; a true lives for a minute."""
    made = event(
        SignValidated,
        server_id=server_id,
        sign_id=sign_id,
        is_valid=IsValid.TRUE if valid else IsValid.FALSE,
        checked_at=moment(second),
        fresh_until=moment(second + 60),
    )
    assert isinstance(made, SignValidated)
    return made


def row_after(*events: Event) -> SignRow:
    """Return the row of the server after those events."""
    tables = view()
    Signs().apply(recorded([event(SignCreated), *events]), tables)
    row = Signs().one(tables, SERVER)
    assert row is not None
    return row


def test_a_created_sign_is_unknown_until_it_is_sealed() -> None:
    """The row has the order's ids and times and no verdict yet."""
    row = row_after()

    assert (row.sign_id, row.node_id, row.created_at, row.updated_at) == (115, 2, NOON, None)
    assert row.verdict_at(NOON).reasons == ("not-sealed",)


def test_a_re_sign_keeps_id_and_created_at() -> None:
    """PUT sets updated_at and nothing else."""
    row = row_after(event(SignUpdated, timestamp=LATER))

    assert (row.sign_id, row.created_at, row.updated_at) == (115, NOON, LATER)


@pytest.mark.parametrize(
    ("silence", "reason"),
    [
        (event(NodeLost, timestamp=moment(2)), "node-lost"),
        (event(NodeDeactivated, timestamp=moment(2)), "node-deactivated"),
        (event(InstanceLeft, timestamp=moment(2)), "instance-left"),
        (
            event(
                NodeSwept,
                started_at=moment(2),
                vouched="",
                withheld=(Withheld(reason="libvirt-gone", sign_ids="1-200"),),
            ),
            "libvirt-gone",
        ),
    ],
)
def test_silence_turns_true_into_unknown_and_leaves_false(silence: Event, reason: str) -> None:
    """Every kind of silence withdraws a true for its reason; a false stays."""
    doubtful = row_after(validated(1, valid=True), silence).verdict
    false = row_after(validated(1, valid=False), silence).verdict

    assert (doubtful.is_valid, doubtful.reasons) == (IsValid.UNKNOWN, (reason,))
    assert false.is_valid is IsValid.FALSE


def test_a_sweep_keeps_a_true_fresh_and_a_false_false() -> None:
    """One event prolongs every sign that it vouches for."""
    sweep = event(NodeSwept, started_at=moment(50), fresh_until=moment(110), vouched="1-998", withheld=())

    assert row_after(validated(1, valid=True), sweep).verdict_at(moment(100)).is_valid is IsValid.TRUE
    assert row_after(validated(1, valid=False), sweep).verdict.is_valid is IsValid.FALSE


def test_a_revoked_sign_is_gone() -> None:
    """After DELETE there is no row; a new sign gets a new id."""
    tables = view()
    Signs().apply(recorded([event(SignCreated), event(SignRevoked)]), tables)
    assert Signs().one(tables, SERVER) is None

    Signs().apply(recorded([event(SignCreated, sign_id=116)]), tables)
    assert [row.sign_id for row in Signs().page(tables, now=NOON)] == [116]


def test_pages_are_stable_and_filters_read_freshness() -> None:
    """Ascending by id, whole without a limit; a stale true is found under unknown."""
    tables = view()
    for number in (3, 1, 2):
        created = event(SignCreated, sign_id=number, server_id=f"s-{number}")
        seal = validated(number, valid=True, server_id=f"s-{number}", sign_id=number)
        Signs().apply(recorded([created, seal]), tables)

    def ids(**filters: object) -> list[int]:
        return [row.sign_id for row in Signs().page(tables, now=moment(62), **filters)]  # type: ignore[arg-type]  # filters vary

    assert ids() == [1, 2, 3]
    assert ids(offset=1, limit=1) == [2]
    assert ids(is_valid=IsValid.TRUE) == [3]
    assert ids(is_valid=IsValid.UNKNOWN) == [1, 2]
    assert ids(node_id=9) == []


def _facts() -> st.SearchStrategy[Event]:
    servers, seconds = st.integers(1, 3), st.integers(0, 40)
    return st.one_of(
        st.builds(lambda n: event(SignCreated, sign_id=n, server_id=f"s-{n}"), servers),
        st.builds(lambda n: event(SignRevoked, sign_id=n, server_id=f"s-{n}"), servers),
        st.builds(lambda n: event(SignSealed, sign_id=n, server_id=f"s-{n}"), servers),
        st.builds(
            lambda n, t, v: validated(t, valid=v, server_id=f"s-{n}", sign_id=n),
            servers,
            seconds,
            st.booleans(),
        ),
        st.builds(lambda t: event(NodeLost, timestamp=moment(t)), seconds),
        st.builds(
            lambda n, t: event(InstanceLeft, server_id=f"s-{n}", timestamp=moment(t)), servers, seconds
        ),
        st.builds(lambda t: event(NodeSwept, started_at=moment(t), vouched="1-2", withheld=()), seconds),
    )


@given(st.lists(_facts(), max_size=30), st.integers(1, 7))
def test_batches_of_any_size_give_the_same_rows(history: list[Event], size: int) -> None:
    """For every history a rebuild in one batch equals what came in piece by piece."""
    live, rebuilt = view(), view()
    for start in range(0, len(history), size):
        Signs().apply(recorded(history[start : start + size]), live)
    Signs().apply(recorded(history), rebuilt)

    assert Signs().page(live, now=NOON) == Signs().page(rebuilt, now=NOON)


def test_a_server_signed_anew_in_one_batch_has_its_new_sign() -> None:
    """Revoked and signed again between two looks: one row, the new one."""
    tables = view()
    Signs().apply(recorded([event(SignCreated)]), tables)
    Signs().apply(recorded([event(SignRevoked), event(SignCreated, sign_id=116)]), tables)

    assert [one.sign_id for one in Signs().page(tables, now=NOON)] == [116]


def test_a_sign_that_moved_counts_as_its_new_node_s() -> None:
    """What the old node leaves, loses or sweeps is no longer about it; id, verdict and times stay."""
    before = row_after(validated(1, valid=True))
    moved = event(SignMoved, node_id=3, from_node_id=2, instance_name="instance-9")
    left = event(InstanceLeft, node_id=2, timestamp=moment(2))
    lost = event(NodeLost, node_id=3, timestamp=moment(3))

    assert row_after(validated(1, valid=True), moved, left) == replace(
        before, node_id=3, instance_name="instance-9", binding=Binding(is_open=True, has_moved=True)
    )
    assert row_after(validated(1, valid=True), moved, left, lost).verdict.reasons == ("node-lost",)


def test_a_node_s_servers_that_are_signed_elsewhere_are_found() -> None:
    """Not those that are signed as being here, and not those that are not signed."""
    tables = view()
    Signs().apply(recorded([event(SignCreated)]), tables)

    assert Signs().elsewhere(tables, 3, [SERVER, "another"]) == [SERVER]
    assert Signs().elsewhere(tables, 2, [SERVER, "another"]) == []


@pytest.mark.parametrize("before", [(), (validated(1, valid=True),), (validated(1, valid=False),)])
def test_a_true_that_comes_after_the_loss_of_its_node_is_withheld(before: tuple[Event, ...]) -> None:
    """It was measured before, and nobody vouches for it now; what is measured after the loss counts."""
    lost = event(NodeLost, timestamp=moment(5))
    late = row_after(*before, lost, validated(3, valid=True)).verdict
    after = row_after(*before, lost, validated(3, valid=True), validated(6, valid=True)).verdict

    assert (late.is_valid, late.reasons) == (IsValid.UNKNOWN, ("node-lost",))
    assert after.is_valid is IsValid.TRUE


def test_a_false_that_comes_after_the_loss_of_its_node_is_one() -> None:
    """It was seen."""
    lost = event(NodeLost, timestamp=moment(5))

    assert row_after(lost, validated(3, valid=False)).verdict.is_valid is IsValid.FALSE


def test_a_node_that_is_there_has_the_last_word_on_its_servers() -> None:
    """That it left has the control plane's time, its measurement the node's: these are not compared."""
    left = event(InstanceLeft, timestamp=moment(5), server_id=SERVER)

    assert (
        row_after(validated(1, valid=True), left, validated(3, valid=True)).verdict.is_valid is IsValid.TRUE
    )


def test_a_server_left_when_its_node_found_that() -> None:
    """Not when it was recorded: what the node found between the two counts; an older event says no more."""
    late = event(InstanceLeft, timestamp=moment(5), taken_at=moment(2))
    withheld = event(
        NodeSwept,
        started_at=moment(3),
        vouched="",
        withheld=(Withheld(reason="libvirt-gone", sign_ids="115"),),
    )

    assert row_after(validated(1, valid=True), late, withheld).verdict.reasons == ("libvirt-gone",)
    old = event(InstanceLeft, timestamp=moment(5))
    assert row_after(validated(1, valid=True), old, withheld).verdict.reasons == ("instance-left",)
