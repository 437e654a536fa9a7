"""The inboxes of a thousand nodes on RabbitMQ: how soon one worker reads them all, and how fast.

First the inboxes are made, as for a new fleet. Then another worker begins to read them, as when a worker
died. Then each node says the same number of things, and the worker reads all of it: what is measured is the
broker and the client library, for nothing is decided. The same is measured with one inbox that all share.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import pika
from bounds import Bound, report
from private import rabbitmq_server

from sealward.events.bus.bus import Bus
from sealward.events.bus.inbox import Inbox
from sealward.events.bus.inboxes import Inboxes
from sealward.events.bus.message import Delivered, Poison
from sealward.events.store.leader import Alone
from stack.rabbitmq import RabbitMQ

NODES = 1_000
EACH = 30
BODY = b"x" * 1_500
"""About what a heartbeat, a sweep or a small bundle has."""
PATIENCE = 300.0


class Reader:
    """Takes what is delivered, and does nothing with it."""

    def __init__(self) -> None:
        self.count = 0
        self.all_read = threading.Event()
        self.awaited = 0

    def expect(self, number: int) -> None:
        """Begin to count."""
        self.count, self.awaited = 0, number
        self.all_read.clear()

    def take(self, batch: Sequence[Delivered]) -> list[Poison | None]:
        """Count a batch."""
        self.count += len(batch)
        if self.count >= self.awaited:
            self.all_read.set()
        return [None] * len(batch)


def reading(bus: Bus, reader: Reader, inboxes: Sequence[Inbox]) -> Inboxes:
    """Return a worker that reads."""
    return Inboxes(bus, reader.take, which=lambda: inboxes, rest=lambda _: 0.0, leader=Alone())


def started(worker: Inboxes, number: int) -> float:
    """Start a worker; return the seconds until it reads all inboxes."""
    began = time.perf_counter()
    worker.start()
    while len(worker._read) < number:
        if time.perf_counter() - began > PATIENCE:
            raise TimeoutError("the inboxes are not read")
        time.sleep(0.01)
    return time.perf_counter() - began


def publish(server: RabbitMQ, names: Sequence[str], each: int) -> None:
    """Put messages into inboxes, in turns."""
    connection = pika.BlockingConnection(pika.URLParameters(server.url))
    channel = connection.channel()
    for _ in range(each):
        for name in names:
            channel.basic_publish(name, name, BODY, pika.BasicProperties(delivery_mode=2, user_id="guest"))
    connection.close()


def drained(start: Callable[[], object], reader: Reader) -> float:
    """Start a worker on full inboxes; return the messages a second that it reads."""
    began = time.perf_counter()
    start()
    if not reader.all_read.wait(PATIENCE):
        raise TimeoutError("not everything is read")
    return reader.awaited / (time.perf_counter() - began)


def main() -> int:
    """Print how long inboxes take, and the rates; 1 when a bound is missed."""
    own = [Inbox(f"reports.kvm{number}", f"node.kvm{number}") for number in range(NODES)]
    shared = [Inbox("reports")]
    with rabbitmq_server() as server:
        bus, reader = Bus(server.url), Reader()
        worker = reading(bus, reader, own)
        made = started(worker, NODES)
        worker.stop()
        worker = reading(bus, reader, own)
        read = started(worker, NODES)
        rates = {}
        for what, inboxes, each in (("own", own, EACH), ("shared", shared, EACH * NODES)):
            worker.stop()
            worker = reading(bus, reader, inboxes)
            started(worker, len(inboxes))
            worker.stop()
            reader.expect(EACH * NODES)
            publish(server, [f"sealward.{one.name}" for one in inboxes], each)
            worker = reading(bus, reader, inboxes)
            rates[what] = drained(worker.start, reader)
        worker.stop()
        bus.close()
    print(f"{NODES} inboxes made in {made:.1f} s, read by the next worker after {read:.1f} s")
    print(f"{rates['own']:,.0f} messages/s from {NODES} inboxes, {rates['shared']:,.0f} from one")
    return report(
        Bound("the inboxes of 1,000 nodes are made", made, 60, "s", most=True),
        Bound("another worker reads the inboxes of 1,000 nodes", read, 10, "s", most=True),
        Bound("reading 1,000 inboxes, against one", rates["own"] / rates["shared"], 0.6, "x"),
    )


if __name__ == "__main__":
    sys.exit(main())
