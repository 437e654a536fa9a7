"""What a token, an address and all together may hold; how often an address may guess."""

from __future__ import annotations

import pytest

from sealward.http.limits.allowance import PER_ADDRESS, REMEMBERED, Allowance, Exceeded, Guesses


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_token_an_address_and_all_together_have_so_many() -> None:
    """Each is full at its own limit, and says whose limit it was."""
    allowance = Allowance(2, 8)
    for token in range(PER_ADDRESS):
        allowance.take(str(token), "a")
        allowance.take(str(token), "a")
        with pytest.raises(Exceeded) as own:
            allowance.take(str(token), "b")
        assert own.value.own
    with pytest.raises(Exceeded) as address:
        allowance.take("another", "a")
    assert address.value.own
    allowance.take("another", "b")
    allowance.take("another", "b")
    with pytest.raises(Exceeded) as all_of_them:
        allowance.take("a third", "c")
    assert not all_of_them.value.own


def test_what_is_given_back_can_be_taken_again_and_twice_is_once() -> None:
    """And nothing is kept of who holds nothing."""
    allowance = Allowance(1, 2)
    give_back = allowance.take("t", "a")
    other = allowance.take("u", "a")
    give_back()
    give_back()
    with pytest.raises(Exceeded):
        allowance.take("u", "a")
    allowance.take("t", "a")()
    other()

    assert (allowance._tokens, allowance._addresses, allowance._held) == ({}, {}, 0)


def test_who_guesses_is_not_looked_up_any_more_for_a_while() -> None:
    """The bucket is empty after so many, and fills within a minute; other addresses do not notice."""
    clock = Clock()
    guesses = Guesses(30, clock)
    for number in range(30):
        assert guesses.seconds("a", f"guess-{number}") == 0
        guesses.refused("a", f"guess-{number}")

    assert 0 < guesses.seconds("a", "one more") <= 2
    assert guesses.seconds("b", "one more") == 0
    clock.now += 2
    assert guesses.seconds("a", "one more") == 0
    guesses.refused("a", "one more")
    assert guesses.seconds("a", "and another") > 0
    clock.now += 60
    assert [guesses.seconds("a", str(number)) for number in range(30)] == [0.0] * 30


def test_a_token_that_was_good_there_is_looked_up_all_the_same() -> None:
    """A client that shares an address with a guesser goes on; at another address its token is unknown."""
    guesses = Guesses(3, Clock())
    guesses.accepted("a", "good")
    for number in range(10):
        guesses.refused("a", str(number))
        guesses.refused("b", str(number))

    assert guesses.seconds("a", "good") == 0
    assert guesses.seconds("b", "good") > 0


def test_the_same_wrong_token_is_hardly_a_guess() -> None:
    """An expired token locks nobody out at once; sent without end it does in the end."""
    guesses = Guesses(30, Clock())
    for _ in range(200):
        guesses.refused("a", "expired")
    assert guesses.seconds("a", "new") == 0
    for _ in range(200):
        guesses.refused("a", "expired")
    assert guesses.seconds("a", "new") > 0


def test_addresses_without_end_take_no_memory_without_end() -> None:
    """Those that guessed last are remembered."""
    guesses = Guesses(1, Clock())
    for number in range(REMEMBERED + 100):
        guesses.refused(str(number), "x")
        guesses.accepted(str(number), "y")

    assert len(guesses._buckets) == len(guesses._good) == REMEMBERED
    assert guesses.seconds(str(REMEMBERED + 99), "z") > 0
