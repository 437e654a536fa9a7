"""The agent's end of the start gate: a socket that the hook asks, answered from the ledger alone.

Nothing here waits for the agent's other work or for libvirt, which waits for the hook.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from sealward.node_agent.canonical import DomainXmlRefused
from sealward.node_agent.gate import decision, spool
from sealward.node_agent.gate.client import LIMIT
from sealward.node_agent.gate.judge import Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sealward.node_agent.gate.conclusion import Conclusion

log = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds for a request to arrive; the hook gives up sooner."""
AWAITED: Final = 0.5
"""Seconds to wait for the reference of a server that comes from another node."""
AT_ONCE: Final = 8


class GateListener:
    """Answers the hook at `path` from the ledger in `folder`.

    `objected` is called when there is something to report; `missing` with the id of a server that is received
    and has no reference here. Where no socket can be made, the hook decides alone.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        objected: Callable[[], None],
        missing: Callable[[str], None],
    ) -> None:
        self._path = path
        self._folder = str(folder)
        self._clock = clock
        self._objected = objected
        self._missing = missing
        self._socket: socket.socket | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gate")
        self._thread = threading.Thread(target=self._accept, name="gate-door", daemon=True)

    def start(self) -> None:
        """Listen; for the owner and root alone."""
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
        """Listen no longer; who asks now decides alone."""
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
                form, _, xml = _received(asking).partition(b"\n")
                conclusion = self._decided(form.decode(), xml)
                word = "allow" if conclusion.allowed else "refuse"
                asking.sendall(f"{word}\n{conclusion.text}".encode())
            except Exception as failed:  # noqa: BLE001 - without an answer the hook decides alone
                log.warning("the start gate gave no answer: %s", type(failed).__name__)

    def _decided(self, form: str, xml: bytes) -> Conclusion:
        moment = self._clock()
        conclusion = decision.decide(self._folder, form, xml, moment)
        if form == decision.LIVE and conclusion.reason in {None, Reason.UNSIGNED, Reason.MISSING}:
            conclusion = self._with_reference(form, xml, conclusion)
        if conclusion.reason is not None:
            log.warning("%s", conclusion.text)
            spool.leave(self._folder, conclusion.report(moment.isoformat()))
            self._objected()
        return conclusion

    def _with_reference(self, form: str, xml: bytes, conclusion: Conclusion) -> Conclusion:
        """Wait a moment for the reference of a server that comes from another node, then decide."""
        server_id = conclusion.server.server_id
        if server_id is None or not decision.is_unknown(self._folder, server_id):
            return conclusion
        self._missing(server_id)
        until = time.monotonic() + AWAITED
        while decision.is_unknown(self._folder, server_id) and time.monotonic() < until:
            time.sleep(0.02)
        with contextlib.suppress(DomainXmlRefused):
            return decision.decide(self._folder, form, xml, self._clock())
        return conclusion


def _received(asking: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= LIMIT + 1024 and (part := asking.recv(65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
