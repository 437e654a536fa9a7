"""What an agent has to say, on its way to the control plane: what is said together is signed together."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.bus.bus import BusUnavailable
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.messages.turns import Turns

log = logging.getLogger(__name__)

ROOM: Final = 64 * 1024
"""Bytes of reports after which a bundle is full: most of what one signature costs is spread by then."""
HOLD: Final = 0.1
"""Seconds that a report may wait for others, while the agent goes on with what it is at."""


class Outbox:
    """Reports in the order in which they were put here; safe for many threads.

    They leave when the agent is done with what it was at (`flush`), when there are enough of them, and at
    latest after `HOLD` once `start` was called. `submit` takes an envelope's bytes to the control plane, or
    raises BusUnavailable: then they are lost, and `was_cut_off` says so. Each envelope gets the next of
    `turns`.
    """

    def __init__(
        self, hostname: str, keyring: Keyring, submit: Callable[[bytes], None], turns: Turns
    ) -> None:
        self.hostname = hostname
        self.turns = turns
        self._keyring = keyring
        self._submit = submit
        self._lock = threading.RLock()
        self._held: list[tuple[reports.AnyReport, bytes]] = []
        self._bytes = 0
        self._lost = False
        self._some = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent-outbox", daemon=True)

    def start(self) -> None:
        """Let nothing wait for longer than `HOLD`."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is held, then end."""
        self._stopped.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self.flush()

    def put(self, report: reports.AnyReport) -> None:
        """Take a report; others may join it before it leaves."""
        encoded = codec.encode(report)
        with self._lock:
            if len(self._held) == reports.MOST or self._bytes + len(encoded) > ROOM:
                self.flush()
            self._held.append((report, encoded))
            self._bytes += len(encoded)
            self._some.set()

    def send(self, report: reports.AnyReport, *keys: Ed25519PrivateKey) -> bool:
        """Send a report by itself, after those that are held; say whether the broker took it.

        `keys` sign it, if they are to be others than the one in use.
        """
        with self._lock:
            self.flush()
            return self._post(report, *(keys or (self._keyring.current,)))

    def flush(self) -> bool:
        """Send what is held: one report as it is, several as a bundle; say whether the broker took it."""
        with self._lock:
            held, self._held, self._bytes = self._held, [], 0
            self._some.clear()
            return self._post(self._together(held), self._keyring.current) if held else True

    def _together(self, held: list[tuple[reports.AnyReport, bytes]]) -> reports.AnyReport | reports.Bundle:
        if len(held) == 1:
            return held[0][0]
        return codec.together(self.hostname, [encoded for _, encoded in held])

    def _post(self, said: reports.AnyReport | reports.Bundle, *keys: Ed25519PrivateKey) -> bool:
        try:
            self._submit(codec.seal(codec.numbered(said, self.turns.next()), *keys))
        except BusUnavailable as away:
            log.warning("%s: the broker is away: %s", self.hostname, away)
            self._lost = True
            return False
        return True

    def was_cut_off(self) -> bool:
        """Say whether reports were lost since this was asked last."""
        with self._lock:
            lost, self._lost = self._lost, False
        return lost

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._some.wait()
            self._stopped.wait(HOLD)
            self.flush()
