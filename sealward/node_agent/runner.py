"""The threads of an agent. The main thread works on messages, changes and the clock, job by job."""

from __future__ import annotations

import queue
import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.events.bus.message import Later
from sealward.node_agent.agent import Agent
from sealward.node_agent.enforcement import Means
from sealward.node_agent.files.firmware import Firmware
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.gate.listener import GateListener
from sealward.node_agent.gate.watch import GateWatch
from sealward.node_agent.hypervisor.connection import open_read_only
from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.node_agent.ledger.saved_images import SavedImages
from sealward.node_agent.messages.outbox import Outbox
from sealward.node_agent.messages.post import Post
from sealward.node_agent.messages.registration import UNHEARD
from sealward.node_agent.messages.turns import Turns
from sealward.node_agent.progress import EVERY, Progress
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    import libvirt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.bus.bus import Bus
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.gate.decision.conclusion import Conclusion
    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.node_agent.messages.trust import Trust
    from sealward.node_agent.reactions import Act
    from sealward.protocol import telling

LOOK_UP: Final = 0.1
"""Seconds between two checks whether the agent ends, in a thread that waits for a job."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between two sweeps, and between two heartbeats."""

    sweep: float
    heartbeat: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A domain may have changed; None: any domain may have changed.

    `is_certain`: the domain has changed, even if it is again as it was.
    """

    server_id: str | None
    is_certain: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the control plane. `done` ends when the work on it ends, with its exception if any."""

    message: telling.Message
    done: futures.Future[None] = field(default_factory=futures.Future)


@dataclass(frozen=True, slots=True)
class Due:
    """The start gate objected to a start, or a reaction is due."""


@dataclass(frozen=True, slots=True)
class QueueLost:
    """The queue of this node was missing: the messages in it are lost."""


@dataclass(frozen=True, slots=True)
class BrokerReached:
    """The agent has reached the broker, for the first time or after the broker was away."""


@dataclass(frozen=True, slots=True)
class HookChanged:
    """The installed hook of the start gate may have changed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The agent ends."""


Job = Changed | Received | Due | QueueLost | BrokerReached | HookChanged | Stop


class Runner:
    """The threads of an agent: the main thread does its work, another thread sends heartbeats.

    `files` makes the FileMeasurer. Its argument is a function to call with a server whose files have changed
    or have been read.
    """

    def __init__(  # noqa: PLR0913 - the one place where an agent's parts meet
        self,
        *,
        keyring: Keyring,
        ledger: Ledger,
        bus: Bus,
        uri: str,
        timing: Timing,
        clock: Callable[[], datetime],
        files: Callable[[Callable[[str], None]], FileMeasurer],
        firmware_dirs: Sequence[Path],
        gate_socket: Path,
        alone_for: timedelta,
        act: Act,
        trust: Trust,
        opener: Callable[[str], libvirt.virConnect] = open_read_only,
        folders: Iterable[Path] = (),
        saves: Path | None = None,
        invitation: Ed25519PrivateKey | None = None,
    ) -> None:
        self._timing = timing
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._hypervisor = Hypervisor(
            uri,
            lambda server_id: self._jobs.put(Changed(server_id)),
            opener,
            folders,
            lambda server_id: self._jobs.put(Changed(server_id, is_certain=True)),
            saves,
            SavedImages(ledger).forget,
        )
        self._files = files(lambda server_id: self._jobs.put(Changed(server_id)))
        hostname = hostname_of(ledger)
        self._outbox = Outbox(hostname, keyring, Post(bus, hostname), Turns(ledger))
        self._agent = Agent(
            keyring=keyring,
            ledger=ledger,
            hypervisor=self._hypervisor,
            files=self._files,
            firmware=Firmware(firmware_dirs, self._files, ledger),
            outbox=self._outbox,
            clock=clock,
            means=Means(alone_for, act, self._wake),
            trust=trust,
            invitation=invitation,
        )
        self._gate = self._listener(gate_socket, ledger, clock)
        self._gate_watch = GateWatch(ledger.folder, lambda: self._jobs.put(HookChanged()))
        self.hostname = self._agent.hostname
        self.policies = self._agent.enforcement.policies
        self._progress = Progress(self.hostname, self._files.progress, self._outbox.put)
        own = queue_of(self.hostname)
        self._consumer = bus.consumer(
            own, self._await, lambda: self._jobs.put(QueueLost()), lambda: self._jobs.put(BrokerReached())
        )
        self._asked_at = 0.0
        self._stopped = threading.Event()
        self._worker = threading.Thread(target=self._work, name="agent", daemon=True)
        self._heart = threading.Thread(target=self._beat, name="agent-heart", daemon=True)

    def _listener(self, socket: Path, ledger: Ledger, clock: Callable[[], datetime]) -> GateListener:
        """Return the thread that answers the start gate."""
        return GateListener(
            socket,
            ledger.folder,
            clock=clock,
            objected=self._objected,
            left=lambda: self._jobs.put(Due()),
            expected_servers=self._agent.expected_servers,
        )

    def start(self) -> None:
        """Connect to libvirt, register, and work in the background."""
        self._gate.start()
        self._gate_watch.start()
        self._hypervisor.start()
        self._files.start()
        self._consumer.start()
        self._outbox.start()
        self._register()
        self._worker.start()
        self._heart.start()

    def stop(self) -> None:
        """Finish the job at hand, then end."""
        self._stopped.set()
        self._consumer.stop()
        self._jobs.put(Stop())
        if self._worker.is_alive():
            self._worker.join(10)
        if self._heart.is_alive():
            self._heart.join(10)
        self._outbox.stop()
        self._gate_watch.close()
        self._gate.stop()
        self._agent.enforcement.reactions.close()
        self._hypervisor.close()
        self._files.stop()

    def _objected(self, conclusion: Conclusion, xml: bytes) -> None:
        """Have an objection reported. Have files that were not compared read for the next start."""
        self._jobs.put(Due())
        server_id = conclusion.server.server_id
        if server_id is not None and conclusion.reason is Reason.NOT_COMPARED:
            self._files.read_soon(server_id, xml)

    def _wake(self, seconds: float) -> None:
        """Put a Due job into the queue after so many seconds; where nothing is due then, it does nothing."""
        timer = threading.Timer(seconds, self._jobs.put, [Due()])
        timer.daemon = True
        timer.start()

    def _await(self, body: bytes) -> None:
        """Have a message worked on between the other jobs. Raises Later when this agent ends.

        A message that a start gate waits for is worked on at once: a job may wait for libvirt, and libvirt
        for the start gate.
        """
        told = self._agent.unsealed(body)
        if told is None or self._agent.take_at_once(told.message):
            return
        received = Received(told.message)
        self._jobs.put(received)
        while not futures.wait([received.done], LOOK_UP).done:
            if self._stopped.is_set():
                raise Later("the agent ends")
        received.done.result()

    def _beat(self) -> None:
        due = time.monotonic() + self._timing.heartbeat
        while not self._stopped.wait(min(EVERY, max(0.0, due - time.monotonic()))):
            if time.monotonic() >= due:
                self._agent.set_aside.attempt("heartbeat", self._agent.beat)
                due = time.monotonic() + self._timing.heartbeat
            if self._agent.registered:
                self._agent.set_aside.attempt("progress", self._progress.say)

    def _work(self) -> None:
        ticked = time.monotonic()
        while True:
            is_patient = self._agent.registered or self._agent.registration.ended
            due = ticked + (self._timing.sweep if is_patient else self._agent.registration.patience)
            batch = self._next_jobs(due)
            if any(isinstance(job, Stop) for job in batch):
                return
            self._carry_out(batch)
            if time.monotonic() >= due:
                self._agent.set_aside.attempt("tick", self._agent.tick)
                ticked = time.monotonic()

    def _next_jobs(self, due: float) -> list[Job]:
        """Wait for jobs until `due`; return all jobs there are, so that a burst of changes is one job."""
        batch: list[Job] = []
        try:
            batch.append(self._jobs.get(timeout=max(0.0, due - time.monotonic())))
            while True:
                batch.append(self._jobs.get_nowait())
        except queue.Empty:
            return batch

    def _carry_out(self, batch: list[Job]) -> None:
        for job in batch:
            if isinstance(job, Received):
                self._receive(job)
        if any(isinstance(job, QueueLost) for job in batch):
            self._ask_again()
        if any(isinstance(job, BrokerReached) for job in batch):
            self._agent.register_again()
        attempt = self._agent.set_aside.attempt
        changed = {job.server_id for job in batch if isinstance(job, Changed)}
        certain = {job.server_id for job in batch if isinstance(job, Changed) and job.is_certain}
        if changed:
            attempt("change", lambda: self._agent.validate_changed(changed, certain))
        if self._agent.registered and any(isinstance(job, HookChanged) for job in batch):
            attempt("gate", self._agent.enforcement.check_gate)
        if batch:
            attempt("enforce", self._agent.enforce)

    def _register(self) -> None:
        self._asked_at = time.monotonic()
        self._agent.register()

    def _ask_again(self) -> None:
        """Register, which makes the queue, unless the agent has just done so or this node was removed."""
        is_asked = self._agent.registration.waits and time.monotonic() - self._asked_at < UNHEARD
        if not is_asked and not self._agent.registration.ended:
            self._register()

    def _receive(self, received: Received) -> None:
        try:
            self._agent.hear(received.message)
        except Exception as broken:  # noqa: BLE001 - a bad message must not end the agent: it is dropped
            received.done.set_exception(broken)
        else:
            received.done.set_result(None)


def hostname_of(ledger: Ledger) -> str:
    """Return the name that this node registered with. It stays when the machine is renamed."""
    name = ledger.fact("hostname")
    if name is None:
        name = socket.gethostname()
        ledger.keep_fact("hostname", name)
    return name
