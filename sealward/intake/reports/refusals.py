"""Limits how often the refusal of a verified message is recorded."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    Refusal = tuple[str, str, str | None]
    """Hostname, reason, and the server that the report spoke of."""

QUIET_FOR: Final = timedelta(seconds=60)
"""A refusal for the same reason is recorded once within this time, so that garbage cannot flood the log."""
AT_MOST: Final = 20
"""Refusals of one node, for any reasons and servers, that are recorded within `QUIET_FOR`."""
REMEMBERED: Final = 10_000


class Refusals:
    """The refusals that were recorded last. For one thread."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._recorded: OrderedDict[Refusal, datetime] = OrderedDict()

    def is_quiet(self, refusal: Refusal, batch: Iterable[Refusal]) -> bool:
        """Say whether a refusal is not recorded. `batch` has the refusals that are about to be recorded."""
        batch = tuple(batch)
        if refusal in batch or self._is_recent(refusal):
            return True
        recent = [one for one in self._recorded if one[0] == refusal[0] and self._is_recent(one)]
        return len({*recent, *(one for one in batch if one[0] == refusal[0])}) >= AT_MOST

    def remember(self, refusals: Iterable[Refusal]) -> None:
        """Note that refusals are recorded now."""
        for one in refusals:
            self._recorded[one] = self._clock()
            self._recorded.move_to_end(one)
        while len(self._recorded) > REMEMBERED:
            self._recorded.popitem(last=False)

    def _is_recent(self, refusal: Refusal) -> bool:
        at = self._recorded.get(refusal)
        return at is not None and self._clock() - at < QUIET_FOR
