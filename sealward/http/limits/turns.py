"""Who is served next: every client has its turn, and health has threads of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from sealward.http.listening.connection import Channel

RESERVED: Final = {"/healthcheck/live": "live", "/healthcheck/ready": "ready", "/healthcheck": "ready"}
"""Path → the lane that answers it and nothing else. `ready` waits for the store, `live` for nothing."""
REFUSALS: Final = "refusals"
"""The lane of what the server refuses before there is a request."""


class Turns:
    """The requests that wait for a thread: one of each client in turn, in the order in which they came.

    So a client with a thousand requests waits for its own, and another client for one of them.
    Its methods are those of a deque that waitress calls, with its lock held.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Channel]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, channel: Channel) -> None:
        """Have a request wait for its client's turn."""
        self._waiting.setdefault(channel.client.key, deque()).append(channel)
        self._count += 1

    def popleft(self) -> Channel:
        """Return the request whose turn it is. Its client's next one comes after everybody else's."""
        key, waiting = self._waiting.popitem(last=False)
        channel = waiting.popleft()
        if waiting:
            self._waiting[key] = waiting
        self._count -= 1
        return channel


class Lanes:
    """The threads that serve: one lane for all, and one for each of what must never wait for the others.

    The main lane begins with `threads` and gets more while all of them are busy, at most `most`: whatever
    holds a thread for long is bounded, and there are as many beyond it.
    """

    def __init__(self, threads: int, most: int) -> None:
        self.main = _dispatcher(threads)
        self._most = most
        self._reserved = {"live": _dispatcher(1), "ready": _dispatcher(2), REFUSALS: _dispatcher(1)}

    def add(self, channel: Channel) -> None:
        """Have the request of a connection served that is next there."""
        request = channel.requests[0]
        if request.error:
            lane = self._reserved[REFUSALS]
        elif request.path in RESERVED and not request.query:
            lane = self._reserved[RESERVED[request.path]]
        else:
            lane = self.main
        lane.add_task(channel)
        if lane.queue and lane is self.main and lane.active_count >= len(lane.threads) < self._most:
            lane.set_thread_count(len(lane.threads) + 1)

    def shutdown(self, timeout: float) -> None:
        """Have what is at hand finished, and end all threads, in all lanes at the same time."""
        lanes = (self.main, *self._reserved.values())
        for lane in lanes:
            lane.set_thread_count(0)
        for lane in lanes:
            lane.shutdown(cancel_pending=True, timeout=timeout)


def _dispatcher(threads: int) -> Any:  # noqa: ANN401 - waitress has no types
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.queue = Turns()
    dispatcher.set_thread_count(threads)
    return dispatcher
