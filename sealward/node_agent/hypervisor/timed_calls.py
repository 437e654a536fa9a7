"""Calls to libvirt that may hang: each has a deadline of its own, and who is late holds up nobody else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from sealward.node_agent.daemon_threads import DaemonThreads
from sealward.node_agent.hypervisor.failures import DomainLocked

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import NoReturn

T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds that a call may take. A start gate, which holds a domain locked, is done by then."""


class TimedCalls:
    """Makes calls in threads of its own. `on_late` hears what a call was about that came past its deadline.

    A late call goes on; while it does, every further one about the same is late at once: what hangs is asked
    only once. (libvirtd works on five calls of a client at a time by default, so five locked domains make the
    others late, too.)
    """

    def __init__(self, on_late: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._on_late = on_late
        self._patience = patience
        self._lock = threading.Lock()
        self._threads = DaemonThreads("libvirt-call")
        self._late: set[str] = set()

    def make(self, about: str, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises. Raises DomainLocked past the deadline."""
        return self.begin(about, call)()

    def begin(self, about: str, call: Callable[[], T]) -> Callable[[], T]:
        """Begin a call; return what waits for it, and returns or raises what `make` would."""
        with self._lock:
            if about in self._late:
                return _locked
        answer = self._threads.make(call)

        def wait() -> T:
            try:
                return answer.result(self._patience)
            except TimeoutError as late:
                self._wait_for(about, answer)
                raise DomainLocked from late

        return wait

    def close(self) -> None:
        """Let the threads end that wait for work."""
        self._threads.close()

    def _wait_for(self, about: str, answer: Future[T]) -> None:
        with self._lock:
            self._late.add(about)
        answer.add_done_callback(lambda _: self._came(about))

    def _came(self, about: str) -> None:
        with self._lock:
            self._late.discard(about)
        self._on_late(about)


def _locked() -> NoReturn:
    raise DomainLocked
