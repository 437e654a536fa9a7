"""Reports on their way to the control plane: reports that leave together are signed together."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.bus.connection import BusUnavailable
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.messages.turns import Turns

log = logging.getLogger(__name__)

ROOM: Final = 64 * 1024
"""Bytes of reports in a full bundle: further reports would make one signature hardly any cheaper each."""
HOLD: Final = 0.1
"""Seconds that a report may wait for further reports."""


class Outbox:
    """The reports of one node, in the order in which they were put here. For any thread.

    Reports leave with `flush`, when there are enough of them, and after HOLD seconds once `start` was called.
    `submit` takes the bytes of an envelope to the control plane, or raises BusUnavailable: then the reports
    are lost, and `was_cut_off` says so. Each envelope gets the next of `turns`.
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
        self.is_cut_off = False
        """Whether the broker did not take the last envelope."""
        self._some = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent-outbox", daemon=True)

    def start(self) -> None:
        """Send each report after HOLD seconds at the latest."""
        self._thread.start()

    def stop(self) -> None:
        """Send the reports that wait, then end."""
        self._stopped.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self.flush()

    def put(self, report: reports.AnyReport) -> None:
        """Take a report. It may wait for further reports to leave with."""
        encoded = codec.encode(report)
        with self._lock:
            if len(self._held) == reports.MOST or self._bytes + len(encoded) > ROOM:
                self.flush()
            self._held.append((report, encoded))
            self._bytes += len(encoded)
            self._some.set()

    def send(self, report: reports.AnyReport, *keys: Ed25519PrivateKey) -> bool:
        """Send a report by itself, after the reports that wait; say whether the broker took the report.

        The report is signed with `keys`, by default with the key in use.
        """
        with self._lock:
            self.flush()
            return self._post(report, *(keys or (self._keyring.current,)))

    def flush(self) -> bool:
        """Send the reports that wait, several as a bundle; say whether the broker took them."""
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
            log.warning("%s: the broker is away: %s", self.hostname, away, extra={"away": away.part})
            self._lost = self.is_cut_off = True
            return False
        self.is_cut_off = False
        return True

    def was_cut_off(self) -> bool:
        """Say whether reports were lost since the last call of this method."""
        with self._lock:
            lost, self._lost = self._lost, False
        return lost

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._some.wait()
            self._stopped.wait(HOLD)
            self.flush()
