"""The order in which requests are served: clients take turns, and health checks have threads of their own."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from sealward.http.listening.connection import Channel

RESERVED: Final = {"/healthcheck/live": "live", "/healthcheck/ready": "ready", "/healthcheck": "ready"}
"""By path the lane that serves it and nothing else. `ready` waits for the store, `live` for nothing."""
REFUSALS: Final = "refusals"
"""The lane for input that the server refuses before there is a request."""


class Turns:
    """The requests that wait for a thread: clients take turns, and the requests of a client keep their order.

    So the requests of a client with a thousand of them wait for each other, and another client waits for only
    one of them. waitress calls these methods, which are methods of a deque, with its lock held.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Channel]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, channel: Channel) -> None:
        """Add a request, to wait for its client's turn."""
        self._waiting.setdefault(channel.client.key, deque()).append(channel)
        self._count += 1

    def popleft(self) -> Channel:
        """Return the request whose turn it is.

        The next request of its client comes after the waiting requests of all other clients.
        """
        key, waiting = self._waiting.popitem(last=False)
        channel = waiting.popleft()
        if waiting:
            self._waiting[key] = waiting
        self._count -= 1
        return channel


class Lanes:
    """The threads that serve requests: the main lane, and a lane for each path that must not wait for others.

    The main lane begins with `threads` threads and adds more while all are busy, up to `most`. Requests that
    hold a thread for long are limited, and `most` leaves as many threads beyond that limit.
    """

    def __init__(self, threads: int, most: int) -> None:
        self.main = _dispatcher(threads)
        self._most = most
        self._reserved = {"live": _dispatcher(1), "ready": _dispatcher(2), REFUSALS: _dispatcher(1)}

    def add(self, channel: Channel) -> None:
        """Have the next request of a connection served."""
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
        """Have the requests under way finished, and end all threads of all lanes at the same time."""
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
