"""Clients take turns, independent of the number of requests that another client has sent."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sealward.http.limits.turns import Turns
from sealward.http.listening.client import Client, client_at


@dataclass(eq=False)
class Waiting:
    """A request that waits."""

    client: Client
    number: int = 0
    requests: list[Any] = field(default_factory=list)


@given(st.lists(st.integers(1, 5), max_size=60))
def test_nobody_waits_for_more_than_one_of_each_other_client(came: list[int]) -> None:
    """And the requests of one client are served in the order in which they came."""
    turns, waiting = Turns(), [Waiting(client_at(f"192.0.2.{who}"), at) for at, who in enumerate(came)]
    for one in waiting:
        turns.append(cast("Any", one))
    served: list[Waiting] = [cast("Any", turns.popleft()) for _ in range(len(turns))]

    assert sorted(one.number for one in served) == list(range(len(came)))
    for who in {one.client for one in served}:
        own = [at for at, one in enumerate(served) if one.client == who]
        numbers = [served[at].number for at in own]
        assert numbers == sorted(numbers)
        for before, after in itertools.pairwise(own):
            between = [one.client for one in served[before + 1 : after]]
            assert len(between) == len(set(between))


def test_a_thousand_requests_of_one_hold_up_another_by_one() -> None:
    """Who comes after a flood is second."""
    turns = Turns()
    for number in range(1000):
        turns.append(cast("Any", Waiting(client_at("192.0.2.1"), number)))
    late = Waiting(client_at("192.0.2.2"))
    turns.append(cast("Any", late))

    assert late in [turns.popleft(), turns.popleft()]
    assert len(turns) == 999
