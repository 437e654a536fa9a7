"""The agent's end of the start gate: a socket on which the hook asks for decisions.

The agent decides from the node's ledger. A decision waits neither for the agent's other work nor for libvirt,
because libvirt itself waits for the hook.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from sealward.node_agent.gate import spool
from sealward.node_agent.gate.client import COMING, LEFT, LIMIT
from sealward.node_agent.gate.decision import decision
from sealward.node_agent.gate.fallback import Posted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sealward.node_agent.gate.decision.conclusion import Conclusion
    from sealward.node_agent.ledger.expected_servers import ExpectedServers

log = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds to wait for a whole request. The hook gives up sooner."""
AWAITED: Final = 0.5
"""Seconds to wait for the control plane's answer about a server of another node, while libvirt waits."""
ANNOUNCED: Final = 1.2
"""Seconds to wait for that answer when libvirt announces a migration: only the migration waits then (libvirt
9.0, observed)."""
AT_ONCE: Final = 16


class GateListener:
    """Answers the hook on the socket `path`, from the ledger in `folder`.

    `objected` is called with each objection and the XML that the objection is about. `left` is called when
    the hook has left an objection in the spool. `expected_servers` asks the control plane about servers
    of other nodes. Where the socket cannot be made, a warning is logged: the hook decides without the agent.
    """

    def __init__(  # noqa: PLR0913 - what answering and reporting need
        self,
        path: Path,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        objected: Callable[[Conclusion, bytes], None],
        left: Callable[[], None],
        expected_servers: ExpectedServers,
    ) -> None:
        self._path = path
        self._folder = str(folder)
        self._clock = clock
        self._objected = objected
        self._left = left
        self._expected_servers = expected_servers
        self._socket: socket.socket | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gate")
        self._thread = threading.Thread(target=self._accept, name="gate-listener", daemon=True)

    def start(self) -> None:
        """Listen on the socket, which its owner and root alone can connect to."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(str(self._path))
            listening.listen(64)
        except OSError as refused:
            listening.close()
            log.warning("the start gate decides without the agent: %s: %s", self._path, refused)
            return
        self._socket = listening
        self._thread.start()

    def stop(self) -> None:
        """Stop listening. From now on the hook decides without the agent."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(5)
            self._socket.close()
            self._path.unlink(missing_ok=True)
        self._pool.shutdown()

    def _accept(self) -> None:
        assert self._socket is not None  # noqa: S101 - started only with one
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError:
                return
            self._pool.submit(self._serve, asking)

    def _serve(self, asking: socket.socket) -> None:
        with asking:
            try:
                asking.settimeout(PATIENCE)
                form, _, content = _received(asking).partition(b"\n")
                asking.sendall(self._answer(form.decode(), content, asking))
            except Exception as failed:  # noqa: BLE001 - without an answer the hook decides alone
                log.warning("the start gate gave no answer: %s", type(failed).__name__)

    def _answer(self, form: str, content: bytes, asking: socket.socket) -> bytes:
        if form == COMING:
            self._expected_servers.inquire(str(uuid.UUID(content.decode())), ANNOUNCED, anew=True)
            return b"allow\n"
        if form == LEFT:
            self._left()
            return b"allow\n"
        if not Posted(self._folder).is_there:
            return b""  # the ledger is gone or empty: the hook goes by the policy that root has kept
        conclusion = self._decided(form, content, lambda: _has_left(asking))
        word = "allow" if conclusion.allowed else "refuse"
        return f"{word}\n{conclusion.text}\0{conclusion.record}\0".encode()

    def _decided(self, form: str, xml: bytes, is_late: Callable[[], bool]) -> Conclusion:
        """Decide, and have an objection reported unless the hook has gone: the hook has reported it then."""
        moment = self._clock()
        conclusion = decision.decide(self._folder, form, xml, moment, is_answered=self._is_answered)
        if conclusion.reason is not None and not is_late():
            log.warning("%s", conclusion.text)
            spool.leave(self._folder, conclusion.report(moment.isoformat()))
            self._pool.submit(self._objected, conclusion, xml)
        return conclusion

    def _is_answered(self, server_id: str) -> bool:
        """Have the reference of a server of another node put into the ledger, if the server is signed.

        Returns False where the control plane does not answer in time.
        """
        return self._expected_servers.inquire(server_id, AWAITED)


def _has_left(asking: socket.socket) -> bool:
    """Return whether the hook has closed its end. An agent that stood still finds old requests."""
    poll = select.poll()
    poll.register(asking, 0)  # poll(2) reports POLLHUP without being asked to
    return bool(poll.poll(0))


def _received(asking: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= LIMIT + 1024 and (part := asking.recv(65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
