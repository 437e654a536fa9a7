"""What an agent hears, and what it may be told about everything."""

from __future__ import annotations

from factories import NODE, recorded

from sealward.events.base import Recorded
from sealward.events.node import NodeActivated
from sealward.node_agent.messages.cursor import KEPT, EventCursor


def events(first: int, last: int) -> list[Recorded]:
    """Return events at those positions."""
    return recorded([NodeActivated(**NODE) for _ in range(first, last + 1)], first - 1)


def told(position: int) -> EventCursor:
    """Return the cursor of an agent that was told everything as of that position."""
    cursor = EventCursor()
    cursor.ask()
    cursor.begin_at(position)
    return cursor


def test_an_event_is_news_once() -> None:
    """Not before everything is known, and not when it comes again or late."""
    cursor = told(10)

    assert [cursor.is_news(one) for one in (*events(9, 12), *events(11, 11))] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert not any(EventCursor().is_news(one) for one in events(1, 3))


def test_what_came_while_it_waited_is_given_with_the_answer() -> None:
    """All of it beyond the answer's position, and once."""
    cursor = EventCursor()
    cursor.ask()
    for one in events(5, 9):
        cursor.is_news(one)

    assert [one.position for one in cursor.begin_at(6)] == [7, 8, 9]
    assert cursor.begin_at(9) == []


def test_an_answer_older_than_what_is_known_is_old() -> None:
    """Also when the agent has forgotten what it knew: those events do not come again."""
    cursor = told(10)
    cursor.is_news(events(11, 11)[0])

    assert (cursor.is_old(10), cursor.is_old(11)) == (True, False)
    cursor.forget()
    assert (cursor.is_old(10), cursor.is_old(11)) == (True, False)


def test_an_answer_may_be_older_than_what_came_since_it_was_asked_for() -> None:
    """For what came since is kept."""
    cursor = told(10)
    cursor.ask()
    cursor.is_news(events(11, 11)[0])

    assert not cursor.is_old(10)
    assert [one.position for one in cursor.begin_at(10)] == [11]


def test_more_than_can_be_kept_must_be_in_the_answer() -> None:
    """The memory of an agent is bounded: the first events go, and an answer must know of them."""
    cursor = told(0)
    cursor.ask()
    for one in events(1, KEPT + 5):
        cursor.is_news(one)

    assert (cursor.is_old(4), cursor.is_old(5)) == (True, False)
    assert len(cursor.begin_at(5)) == KEPT
