"""Threads for calls that may hang. They are daemons: a call that never returns does not keep a process alive.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends, so it is no use here.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Work = tuple["futures.Future[Any]", "Callable[[], Any]"]


class DaemonPool(futures.Executor):
    """An executor with a fixed number of threads. The first call starts them; each calls `begin` first."""

    def __init__(self, count: int, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._count = count
        self._name = name
        self._begin = begin
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_there = self._is_over = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> futures.Future[T]:  # noqa: ANN401 - as the base class has it
        """Have a thread make a call. Raises RuntimeError after shutdown, as Python's executors do."""
        answer: futures.Future[T] = futures.Future()
        with self._lock:
            if self._is_over:
                raise RuntimeError("no more work after shutdown")
            self._begin_all()
            self._work.put((answer, functools.partial(fn, *args, **kwargs)))
        return answer

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as above
        """End the threads after all calls; with `cancel_futures`, after the calls at hand. Never wait."""
        del wait
        with self._lock:
            self._is_over = True
        if cancel_futures:
            self._cancel()
        for _ in range(self._count):
            self._work.put(None)

    def _begin_all(self) -> None:
        if not self._is_there:
            self._is_there = True
            for number in range(self._count):
                threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True).start()

    def _cancel(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                work = self._work.get_nowait()
                if work is not None and work[0].cancel():
                    work[0].set_running_or_notify_cancel()

    def _run(self) -> None:
        self._begin()
        while (work := self._work.get()) is not None:
            _answer(*work)
            del work  # or the waiting thread keeps the last call and its result alive


class DaemonThreads:
    """As many threads as there are calls at once; an idle thread makes the next call. For any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[DaemonPool] = []

    def make(self, call: Callable[[], T]) -> futures.Future[T]:
        """Have a thread begin a call at once."""
        with self._lock:
            thread = self._idle.pop() if self._idle else DaemonPool(1, self._name)
        answer = thread.submit(call)
        answer.add_done_callback(lambda _: self._rest(thread))
        return answer

    def close(self) -> None:
        """End the threads that are idle."""
        with self._lock:
            for thread in self._idle:
                thread.shutdown()
            self._idle.clear()

    def _rest(self, thread: DaemonPool) -> None:
        with self._lock:
            self._idle.append(thread)


def _answer(answer: futures.Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as failed:  # noqa: BLE001 - the caller gets it from the future
        answer.set_exception(failed)
