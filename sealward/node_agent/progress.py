"""The report about how much has been read of the files that servers wait for.

The report is repeated while servers wait. It is only displayed: nothing else depends on it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EVERY: Final = 2.0
"""Seconds between two reports."""
SAMPLES: Final = 10
"""How many reports the rate of reading is computed from."""


class Progress:
    """Reports the progress of reading files.

    `found` returns by server the bytes read and the bytes to read in all; `send` takes a report, or loses it.
    """

    def __init__(
        self,
        hostname: str,
        found: Callable[[], Mapping[str, tuple[int, int]]],
        send: Callable[[reports.AnyReport], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hostname = hostname
        self._found = found
        self._send = send
        self._clock = clock
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def say(self) -> None:
        """Report the progress of each server that waits; report once more when no server waits any more."""
        found = self._found()
        if not found and not self._samples:
            return
        now = self._clock()
        known = self._samples
        self._samples = {one: known.get(one, deque(maxlen=SAMPLES)) for one in found}
        readings = []
        for server_id, (done, in_all) in sorted(found.items())[: reports.MAX_READINGS]:
            samples = self._samples[server_id]
            samples.append((now, done))
            readings.append(reports.ReadProgress(server_id, done, in_all, _rate(samples)))
        self._send(reports.Progress(hostname=self._hostname, readings=tuple(readings)))


def _rate(samples: deque[tuple[float, int]]) -> int | None:
    """Return the rate in bytes per second; None before the second sample."""
    (began_at, first), (now, last) = samples[0], samples[-1]
    return max(0, round((last - first) / (now - began_at))) if now > began_at else None
