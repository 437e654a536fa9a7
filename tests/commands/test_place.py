"""On which node a signed server counts as being, a sentence a rule."""

from __future__ import annotations

from factories import SERVER

from sealward.commands.node import Node
from sealward.commands.place import gone, is_now_at

NAMED = (SERVER, "instance-1")


def node(*, has: bool = True, runs: bool = False, lost: bool = False) -> Node:
    """Return a node as it was heard of last."""
    return Node(
        1,
        "kvm1",
        "PEM",
        lost=lost,
        instances=frozenset({NAMED} if has else ()),
        running=frozenset({SERVER} if runs else ()),
    )


def test_where_it_begins_to_run_it_is() -> None:
    """The destination of a live migration speaks before its source does."""
    assert is_now_at(SERVER, node(runs=True), node(has=False), node(runs=True))
    assert is_now_at(SERVER, node(runs=True), node(runs=False), node(runs=True))


def test_what_is_there_and_does_not_run_stays_at_home() -> None:
    """Not while a migration fills its memory, and not as a leftover, whether its home runs it or not."""
    assert not is_now_at(SERVER, node(), node(has=False), node(runs=True))
    assert not is_now_at(SERVER, node(), node(), node())
    assert not is_now_at(SERVER, node(), node(), node(lost=True))


def test_it_is_where_it_runs_when_its_home_does_not_run_it() -> None:
    """Also when nobody heard it begin, and when its home is lost with what it said last."""
    assert is_now_at(SERVER, node(runs=True), node(runs=True), node())
    assert is_now_at(SERVER, node(runs=True), node(runs=True), node(has=False))
    assert is_now_at(SERVER, node(runs=True), node(runs=True), node(runs=True, lost=True))


def test_what_runs_on_two_nodes_does_not_go_to_and_fro() -> None:
    """Each of them says again and again that it runs there: the sign stays."""
    assert not is_now_at(SERVER, node(runs=True), node(runs=True), node(runs=True))


def test_what_is_switched_off_is_elsewhere_when_its_home_has_it_no_longer() -> None:
    """A cold migration."""
    assert is_now_at(SERVER, node(), node(has=False), node(has=False))
    assert is_now_at(SERVER, node(), node(), None)


def test_a_server_is_gone_that_left_or_stopped() -> None:
    """It may go on elsewhere; one that is still there, or came just now, is not gone."""
    assert gone(node(), node(has=False)) == [SERVER]
    assert gone(node(runs=True), node()) == [SERVER]
    assert gone(node(runs=True), node(has=False)) == [SERVER]
    assert gone(node(runs=True), node(runs=True)) == []
    assert gone(node(), node(runs=True)) == []
    assert gone(node(has=False), node()) == []
