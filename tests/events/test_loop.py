"""A loop does its work again and again, also while a server is away, until it is stopped."""

from __future__ import annotations

import threading
import time

import pytest
from running import until

from sealward.events import loop
from sealward.events.bus.connection import BusUnavailable
from sealward.events.loop import Loop
from sealward.events.store.store import StoreUnavailable


class Elsewhere:
    """A leader that can be told whether this process leads."""

    leads = False
    closed = False
    asked = 0

    def holds(self) -> bool:
        """Say whether this process leads, and count the question."""
        self.asked += 1
        return self.leads

    def close(self) -> None:
        """Note that another process may lead."""
        self.closed = True


@pytest.mark.parametrize("away", [StoreUnavailable, BusUnavailable])
def test_what_is_away_is_waited_for(away: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is tried again."""
    monkeypatch.setattr(loop, "PAUSE", 0.01)
    tries: list[float] = []

    def work() -> None:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise away

    one = Loop("test", work, "the test waits", every=0.01)
    one.start()
    until(lambda: len(tries) > 4, 5)
    one.stop()

    assert not one._thread.is_alive()


def test_only_the_leader_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not lead asks again; when it ends, another may lead."""
    monkeypatch.setattr(loop, "PAUSE", 0.01)
    leader, done = Elsewhere(), threading.Event()
    one = Loop("test", done.set, "the test waits", leader=leader, every=0.01)
    one.start()
    until(lambda: leader.asked > 3, 5)
    assert not done.is_set()
    leader.leads = True
    assert done.wait(5)
    one.stop()

    assert leader.closed


def test_the_first_piece_of_work_can_be_later() -> None:
    """Nodes that were silent while nobody listened get a lease to be heard."""
    times: list[float] = []
    begun = time.monotonic()
    one = Loop(
        "test", lambda: times.append(time.monotonic() - begun), "the test waits", every=0.01, first=0.3
    )
    one.start()
    until(lambda: len(times) > 3, 5)
    one.stop()

    assert times[0] >= 0.3
    assert times[1] - times[0] < 0.3
