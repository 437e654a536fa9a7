"""Calls to libvirt that may hang: each has a deadline of its own, and who is late holds up nobody else."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from sealward.node_agent.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds that a call may take. A start gate, which holds a domain locked, is done by then."""


class DomainLocked(NotMeasured):
    """Libvirt is busy with the domain for longer than a call may take."""

    code = "domain-locked"


class Calls:
    """Makes calls in threads of its own. `on_late` hears what a call was about that came past its deadline.

    A late call goes on; while it does, every further one about the same is late at once: what hangs is asked
    only once. (libvirtd works on five calls of a client at a time by default, so five locked domains make the
    others late, too.)
    """

    def __init__(self, on_late: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._on_late = on_late
        self._patience = patience
        self._lock = threading.Lock()
        self._idle: list[_Caller] = []
        self._late: set[str] = set()

    def make(self, about: str, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises. Raises DomainLocked past the deadline."""
        with self._lock:
            if about in self._late:
                raise DomainLocked
            caller = self._idle.pop() if self._idle else _Caller(self._rest)
        answer = caller.make(call)
        try:
            return answer.result(self._patience)
        except TimeoutError as late:
            self._wait_for(about, answer)
            raise DomainLocked from late

    def close(self) -> None:
        """Let the threads end that wait for work."""
        with self._lock:
            for caller in self._idle:
                caller.end()
            self._idle.clear()

    def _wait_for(self, about: str, answer: Future[T]) -> None:
        with self._lock:
            self._late.add(about)
        answer.add_done_callback(lambda _: self._came(about))

    def _came(self, about: str) -> None:
        with self._lock:
            self._late.discard(about)
        self._on_late(about)

    def _rest(self, caller: _Caller) -> None:
        with self._lock:
            self._idle.append(caller)


class _Caller:
    """A thread that makes one call after the other; a daemon, so that a hung one holds up no end."""

    def __init__(self, rest: Callable[[_Caller], None]) -> None:
        self._rest = rest
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="libvirt-call", daemon=True).start()

    def make(self, call: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._work.put(lambda: _answer(answer, call))
        return answer

    def end(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._rest(self)


def _answer(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as failed:  # noqa: BLE001 - whoever made the call gets it
        answer.set_exception(failed)
