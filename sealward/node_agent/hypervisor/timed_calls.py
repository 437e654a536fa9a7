"""Calls to libvirt with a deadline: a call that hangs holds up no other call."""

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
"""Seconds that a call may take. A start gate, which keeps a domain locked, ends within that time."""


class TimedCalls:
    """Makes calls in threads of its own. `about` names the subject of a call: a domain, or all domains.

    A call that misses its deadline goes on. Until it ends, further calls about the same subject fail at once;
    when it ends, `on_late` gets the subject. By default libvirtd works on five calls of a client at a time,
    so five locked domains delay the calls about other domains as well.
    """

    def __init__(self, on_late: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._on_late = on_late
        self._patience = patience
        self._lock = threading.Lock()
        self._threads = DaemonThreads("libvirt-call")
        self._late: set[str] = set()

    def make(self, about: str, call: Callable[[], T]) -> T:
        """Return the result of the call, or raise its error. Raises DomainLocked past the deadline."""
        return self.begin(about, call)()

    def begin(self, about: str, call: Callable[[], T]) -> Callable[[], T]:
        """Begin a call; return a function that waits for its end, with the result and errors of `make`."""
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
        """End the threads that are idle."""
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
