"""A server is away under traffic, and comes back: Sealward answers and works again within two seconds.

By default a server is away for seconds. A pause between two attempts that grows with the time shows itself
later: `SEALWARD_TEST_AWAY=600 pytest tests/e2e/test_away.py` has servers away for ten minutes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import amounts
import pytest
from running import WEB, until
from topology import topology

from stack.postgres import Postgres
from stack.sealward import Stack

AWAY = float(os.environ.get("SEALWARD_TEST_AWAY", "60" if amounts.EVERYTHING else "20"))
"""Seconds that a server is away. Twenty are enough for a pause that doubles to grow beyond the bound."""
pytestmark = pytest.mark.timeout(AWAY + 180)
HEALED = 2.0
"""Seconds within which everything works again."""
EVERY = 0.25
"""Seconds between two requests of a client."""


@pytest.fixture(scope="module")
def away() -> Iterator[Stack]:
    """Yield a topology of its own, because the tests end its servers."""
    with topology({"SEALWARD_WAIT": "0.1", "SEALWARD_SWEEP_INTERVAL": "5"}) as made:
        assert made.ask("POST", "/v1/sign", {"server_id": WEB})[0] == 201
        yield made


@dataclass
class Traffic:
    """Clients that read from each API process until the `with` block ends; each answer with its moment."""

    stack: Stack
    answers: list[tuple[float, str, int]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for api in self.stack.apis:
            for path in ("/v1/sign", f"/v1/sign/{WEB}/verdict"):
                self._threads.append(threading.Thread(target=self._ask, args=(api, path)))
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in self._threads:
            one.join(30)

    def since(self, moment: float) -> list[int]:
        """Return the statuses of the answers after a moment."""
        return [status for at, _, status in self.answers if at > moment]

    def _ask(self, api: str, path: str) -> None:
        while not self._ended.wait(EVERY):
            status, _ = self.stack.ask("GET", path, api=api)
            self.answers.append((time.monotonic(), api, status))


def seconds_until(done: Callable[[], bool], patience: float = 30.0) -> float:
    """Return how long it takes until something is so."""
    began = time.monotonic()
    until(done, patience)
    return time.monotonic() - began


def answers(stack: Stack, api: str) -> bool:
    """Say whether an API process answers."""
    return stack.ask("GET", "/v1/sign", api=api)[0] == 200


def signing(stack: Stack) -> float:
    """Order a new reference; return the seconds until the agent has measured and the workers have sealed."""
    began = time.monotonic()
    before = stack.ask("GET", f"/v1/sign/{WEB}/verdict")[1]["verdict"]["generation"]
    until(lambda: stack.ask("PUT", "/v1/sign", {"server_id": WEB})[0] == 200, 30)

    def is_sealed() -> bool:
        found = stack.ask("GET", f"/v1/sign/{WEB}/verdict")[1]["verdict"]
        return bool(found["generation"] > before and found["is_valid"] == "true")

    until(is_sealed, 30)
    return time.monotonic() - began


@contextlib.contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """Stop each process of a server, without ending one, for the time of the `with` block."""
    assert server.pid is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii").split()
    pids = [server.pid, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def complaints(stack: Stack, before: dict[str, int]) -> dict[str, list[str]]:
    """Return what each process has logged since, without its access log and without tracebacks of others."""
    return {
        name: [
            line
            for line in stack.log(name)[length:].splitlines()
            if " WARNING " in line or " ERROR " in line or " CRITICAL " in line
        ]
        for name, length in before.items()
    }


def lengths(stack: Stack) -> dict[str, int]:
    """Return how long the log of each process is."""
    return {name: len(stack.log(name)) for name in stack.processes}


QUIET = 5 + AWAY / 60
"""Lines about a part that is away: when it goes (the messages under way may add theirs), and one a minute."""


def test_the_database_is_away(away: Stack) -> None:
    """Both API processes answer again within the bound, and an order is carried out by the workers."""
    before = lengths(away)
    with Traffic(away) as traffic:
        away.postgres.kill()
        time.sleep(AWAY)
        assert set(traffic.since(time.monotonic() - AWAY / 2)) == {503}
        away.postgres.start()
        began = time.monotonic()
        healed = {one: seconds_until(functools.partial(answers, away, one)) for one in away.apis}
        signed = signing(away)
        time.sleep(2)
        late = traffic.since(began + HEALED)

    assert max(healed.values()) < HEALED, healed
    assert signed < HEALED
    assert set(late) == {200}
    said = complaints(away, before)
    assert max(len(lines) for lines in said.values()) <= QUIET, said
    for name in away.apis:
        assert "is back" in away.log(name)[before[name] :]


def test_the_broker_is_away(away: Stack) -> None:
    """Reads go on; an order that is given afterwards reaches the agent, and its answer the workers."""
    before = lengths(away)
    with Traffic(away) as traffic:
        away.rabbitmq.stop()
        began = time.monotonic()
        time.sleep(AWAY)
        assert set(traffic.since(began)) == {200}
        away.rabbitmq.start()
        signed = signing(away)

    assert signed < HEALED
    said = complaints(away, before)
    assert max(len(lines) for lines in said.values()) <= QUIET, said


def test_the_database_hangs(away: Stack) -> None:
    """It takes connections and answers nothing, as a host does whose disk is stuck."""
    before = lengths(away)
    with Traffic(away) as traffic:
        with frozen(away.postgres):
            time.sleep(AWAY / 2)
        began = time.monotonic()
        healed = {one: seconds_until(functools.partial(answers, away, one)) for one in away.apis}
        signed = signing(away)
        time.sleep(2)

    assert max(healed.values()) < HEALED, healed
    assert signed < HEALED
    assert set(traffic.since(began + HEALED)) == {200}
    said = complaints(away, before)
    assert max(len(lines) for lines in said.values()) <= QUIET, said
