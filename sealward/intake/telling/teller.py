"""Follows the log, and sends each node the events that concern the node.

The teller works beside the relay, with its own position in the log. When a message cannot be sent to a node,
the position is noted for the node, and the node is told later to register again (`intake.telling.reminders`).
So a node holds up no other node, and one position is all that is kept for it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.bus.node_queues import QueueRefused
from sealward.events.loop import Loop
from sealward.events.set_aside import BROKEN, only_said
from sealward.events.wire import cloudevent, codec
from sealward.intake.telling.backoff import Backoff
from sealward.protocol import telling
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealward.control.untold import Untold
    from sealward.events.base import Event, Stored
    from sealward.events.bus.node_queues import Letter, NodeQueues
    from sealward.events.bus.relay import KeptPosition
    from sealward.events.set_aside import SetAside
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore
    from sealward.intake.registration.addresses import Addresses
    from sealward.intake.telling.voice import Voice

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store or broker that did not answer, or leadership, is tried again."""
LOOK_UP: Final = 0.1
"""Seconds after which the teller looks for events of other processes, and whether it shall stop."""
REMOVED_FOR: Final = 60.0
"""Seconds between the removal of a node and the deletion of its queue: the node reads the event first."""
OF_NO_NODE: Final = frozenset(
    one.topic
    for one in (
        of_node.InstanceAppeared,
        of_node.InstanceLeft,
        of_node.NodeFirmwareChanged,
        of_node.NodeLost,
        of_node.NodeReportRefused,
        of_node.NodeSoftwareChanged,
    )
)
"""Events that are not sent to nodes: a node reported them itself, or no agent acts upon them."""


class Teller:
    """A thread that sends the events after its position in the log, as long as this process leads."""

    def __init__(  # noqa: PLR0913 - what the teller reads, and how it sends
        self,
        store: EventStore,
        queues: NodeQueues,
        voice: Voice,
        *,
        kept: KeptPosition,
        addresses: Addresses,
        untold: Untold,
        leader: Leader | None = None,
        backoff: Backoff | None = None,
        set_aside: SetAside = only_said,
    ) -> None:
        self._store = store
        self._queues = queues
        self._voice = voice
        self._kept = kept
        self._addresses = addresses
        self._untold = untold
        self._backoff = backoff or Backoff()
        self._set_aside = set_aside
        self._removed: dict[str, float] = {}
        """By hostname of a removed node, when its queue is to be deleted."""
        self._loop = Loop("teller", self.tell, "nodes are told nothing for now", leader=leader)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end the thread."""
        self._loop.stop()
        self._queues.close()

    def tell(self) -> None:
        """Send the next events and keep the new position; return soon when there are none.

        Raises StoreUnavailable, BusUnavailable.
        """
        position = self._kept.load()
        if self._store.wait_beyond(position, LOOK_UP):
            batch = self._store.copy(position)
            self._untold.note(self._missed(self._letters(batch)))
            self._kept.keep(batch[-1].position)
        self._clear_up()

    def _letters(self, batch: Sequence[Stored]) -> list[tuple[str, int, Letter]]:
        """Return hostname, position and letter of each message that a batch of the log leads to."""
        return [
            (hostname, one.position, self._voice.letter(hostname, message))
            for one in batch
            for hostname, message in self._said(one)
        ]

    def _said(self, stored: Stored) -> Iterator[tuple[str, telling.Message]]:
        """Yield hostname and message of each message that an entry of the log leads to."""
        if stored.topic in OF_NO_NODE:
            return
        try:
            message = cloudevent.message(stored)
            event = codec.read(stored).event if stored.topic in READ else None
        except codec.EventFromNewerVersion:
            raise
        except BROKEN as refused:
            self._set_aside(stored.position, stored.topic, refused)
            return
        if event is not None:
            self._note(event)
        happened, anew = telling.Happened(msgspec.Raw(message.body)), telling.Anew(stored.position)
        match event:
            case of_sign.SignMoved():
                for hostname in (event.from_hostname, event.hostname):
                    yield hostname, happened
                    yield hostname, anew
            case of_node.NodeReturned():
                yield event.hostname, anew
            case _:
                address = self._addresses.of(_node_id(message), stored.position)
                if address is not None:
                    yield address, happened

    def _note(self, event: Event) -> None:
        """Note the hostname of a node, and whether the node's queue is to be deleted."""
        match event:
            case of_node.NodeRegistered():
                self._addresses.learn(event.node_id, event.hostname)
                self._removed.pop(event.hostname, None)
            case of_node.NodeRemoved():
                self._addresses.learn(event.node_id, event.hostname)
                self._removed[event.hostname] = time.monotonic() + REMOVED_FOR

    def _missed(self, letters: Sequence[tuple[str, int, Letter]]) -> dict[str, int]:
        """Send letters; return by hostname the position of the last letter that a node missed."""
        waiting = {hostname for hostname, _, _ in letters if self._backoff.waits(hostname)}
        failed = self._queues.put([letter for hostname, _, letter in letters if hostname not in waiting])
        for hostname in {one for one, _, _ in letters} - waiting:
            if queue_of(hostname) in failed:
                log.warning("%s cannot be told of events: it will be told everything anew", hostname)
                self._backoff.failed(hostname)
            else:
                self._backoff.worked(hostname)
        return {
            hostname: position
            for hostname, position, letter in letters
            if hostname in waiting or letter.queue in failed
        }

    def _clear_up(self) -> None:
        """Delete the queues of nodes that were removed some time ago."""
        now = time.monotonic()
        for hostname in [one for one, due in self._removed.items() if due <= now]:
            del self._removed[hostname]
            self._untold.forget(hostname, self._kept.load())
            try:
                self._queues.delete(queue_of(hostname))
            except QueueRefused as refused:
                log.warning("the queue of %s, which was removed, stays: %s", hostname, refused)


def _node_id(message: cloudevent.Message) -> int:
    """Return the id of the node of an event, 0 for none: the routing key ends with the id."""
    return int(message.routing_key.rpartition(".")[2])


READ: Final = frozenset(
    one.topic
    for one in (of_node.NodeRegistered, of_node.NodeRemoved, of_node.NodeReturned, of_sign.SignMoved)
)
"""Events that are decoded: for other events the node's id in the routing key is enough."""
