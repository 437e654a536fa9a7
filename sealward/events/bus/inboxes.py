"""Many inboxes, read by one thread in turns: a user that fills one inbox holds up no other inbox.

The broker delivers at most `PREFETCH` messages of a user before these are acknowledged. So a message waits
for at most `PREFETCH` messages of each other user. The inbox of a sender in debt (`rest`) is not read until
the debt is paid. Meanwhile the sender's messages stay in its own queue. A full queue refuses messages.

Of many processes only the leader reads. Besides, each queue has a single active consumer. So when a process
has lost the lead and does not know it yet, no other process can overtake the messages that it holds.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import amqp.exceptions

from sealward.events.bus.bus import BATCH
from sealward.events.bus.consumer import BATCH_BYTES, LOOK_UP, PAUSE, Consumer
from sealward.events.bus.inbox import LONGEST, PREFETCH, Inbox, Maker
from sealward.events.bus.message import Delivered
from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealward.events.bus.bus import Bus
    from sealward.events.bus.message import OnBatch
    from sealward.events.store.leader import Leader

log = logging.getLogger(__name__)

LOOK_AROUND: Final = 1.0
"""Seconds between looks for inboxes that came or went, and for senders that may be read again."""
AT_ONCE: Final = 20
"""Inboxes that are opened between two batches."""
REFUSED_FOR: Final = 5.0
"""Seconds until an inbox that the broker refused is tried again."""
KEPT_FOR: Final = 5.0
"""Seconds for which a process that has lost the lead reads on: the database may be away for a moment only."""
SHORTEST_REST: Final = 1.0
"""Seconds for which a sender in debt is not read at least."""


class Inboxes(Consumer):
    """Reads the inboxes that `which` names, as long as this process leads.

    `rest` returns for how many seconds the inbox of a broker's user is not to be read; 0 while it may be
    read.
    """

    def __init__(
        self,
        bus: Bus,
        on_batch: OnBatch,
        *,
        which: Callable[[], Sequence[Inbox]],
        rest: Callable[[str], float],
        leader: Leader,
    ) -> None:
        connection, dead_letters = bus.reader()
        super().__init__(connection, [dead_letters], dead_letters, on_batch, PREFETCH)
        self._prefix = bus.prefix
        self._which = which
        self._rest = rest
        self._leader = leader
        self._led_at = -KEPT_FOR
        self._look_at = 0.0
        self._channel: Any = None
        self._prefetch = 0
        """The prefetch count that the channel's next consumer gets."""
        self._maker = Maker(connection.channel)
        self._known: dict[str, Inbox] = {}
        """All inboxes by the name of their queue."""
        self._made: set[str] = set()
        self._read: set[str] = set()
        """The queues that are consumed now."""
        self._again: dict[str, float] = {}
        """By queue: the time from which the queue is read again."""

    def stop(self) -> None:
        """Finish the batch at hand, then end; another process may lead."""
        super().stop()
        self._leader.close()

    def _consume(self) -> None:
        if not self._leads():
            self._stopped.wait(PAUSE)
            return
        self._declare()
        self._forget()
        try:
            with self._connection.channel() as self._channel:
                while not self._stopped.is_set() and self._is_up_to_date():
                    self._receive()
                    user_of = {self._queue_of(one): self._user_of(one) for one in self._held}
                    self._work_off()
                    self._let_rest(user_of)
                    self._connection.heartbeat_check()
        finally:
            self._forget()

    def _forget(self) -> None:
        """Forget all messages and queues: the broker delivers unacknowledged messages again."""
        self._held.clear()
        self._bytes = 0
        self._look_at = 0.0
        self._prefetch = 0
        self._read.clear()
        self._made.clear()
        self._again.clear()
        self._maker = Maker(self._connection.channel)

    def _is_up_to_date(self) -> bool:
        """Open and close inboxes when it is time to; return False when this process leads no longer."""
        now = time.monotonic()
        if now < self._look_at:
            return True
        if not self._leads():
            return False
        is_done = self._open_some(now)
        self._look_at = now + LOOK_AROUND if is_done else now
        return True

    def _leads(self) -> bool:
        now = time.monotonic()
        if self._leader.holds():
            self._led_at = now
        return now - self._led_at < KEPT_FOR

    def _open_some(self, now: float) -> bool:
        """Open some of the inboxes that are not read; delete the inboxes of senders that are gone.

        Return False when more inboxes wait to be opened.
        """
        with contextlib.suppress(StoreUnavailable):
            self._known = {f"{self._prefix}{one.name}": one for one in self._which()}
        for queue in (self._read | self._made) - self._known.keys():
            self._delete(queue)
        waiting = [
            one
            for one in self._known
            if one not in self._read and self._again.get(one, now) <= now and len(one.encode()) <= LONGEST
        ]
        for queue in waiting[:AT_ONCE]:
            self._open(queue, self._known[queue])
        return len(waiting) <= AT_ONCE

    def _open(self, queue: str, inbox: Inbox) -> None:
        if queue not in self._made:
            try:
                self._maker.make(queue, inbox)
            except amqp.exceptions.ChannelError as refused:
                log.warning("%s: the inbox is not read for now: %s", queue, refused)
                self._again[queue] = time.monotonic() + REFUSED_FOR
                return
            self._made.add(queue)
        if inbox.prefetch != self._prefetch:
            self._channel.basic_qos(0, inbox.prefetch, False)  # noqa: FBT003 - for consumers from now on
            self._prefetch = inbox.prefetch
        self._channel.basic_consume(
            queue, consumer_tag=queue, callback=self._deliver, on_cancel=self._lose, nowait=True
        )
        self._read.add(queue)
        self._again.pop(queue, None)

    def _delete(self, queue: str) -> None:
        """Delete an inbox whose sender is gone."""
        self._close(queue)
        self._made.discard(queue)
        self._again.pop(queue, None)
        try:
            self._maker.delete(queue)
        except amqp.exceptions.ChannelError as refused:
            log.warning("%s: the inbox stays: %s", queue, refused)

    def _close(self, queue: str) -> None:
        if queue in self._read:
            self._channel.basic_cancel(queue)
            self._read.discard(queue)

    def _lose(self, queue: str) -> None:
        """Take note that the broker has deleted a queue: `_open_some` makes it anew."""
        log.warning("%s: the queue was deleted: it is made anew", queue)
        self._read.discard(queue)
        self._made.discard(queue)

    def _deliver(self, message: Any) -> None:  # noqa: ANN401 - amqp has no types
        self._hold(self._channel.message_to_python(message))

    def _receive(self) -> None:
        """Take the messages that have arrived, up to a batch. Wait only while there is no message."""
        with contextlib.suppress(TimeoutError):
            while self._bytes < BATCH_BYTES and len(self._held) < BATCH:
                self._connection.drain_events(timeout=0 if self._held else LOOK_UP)

    def _let_rest(self, user_of: Mapping[str, str | None]) -> None:
        """Stop reading the inboxes of senders that are in debt, until their debts are paid."""
        for queue, user in user_of.items():
            seconds = 0.0 if user is None else self._rest(user)
            if seconds > 0 and queue in self._read:
                self._close(queue)
                self._again[queue] = time.monotonic() + max(seconds, SHORTEST_REST)

    def _delivered(self, message: Any) -> Delivered:  # noqa: ANN401 - kombu has no types
        found = super()._delivered(message)
        return Delivered(
            found.body, found.headers, found.sender, found.redelivered, inbox=self._user_of(message)
        )

    def _queue_of(self, message: Any) -> str:  # noqa: ANN401 - kombu has no types
        return str(message.delivery_info["consumer_tag"])

    def _user_of(self, message: Any) -> str | None:  # noqa: ANN401 - kombu has no types
        inbox = self._known.get(self._queue_of(message))
        return None if inbox is None else inbox.user
