"""How much one node may say: a flood of one node slows that node alone.

There is a bucket for each of the broker's users and each kind of cost. What is paid for flows back with time;
a user in debt is not heard until it is paid. Messages and bytes are paid before anything is read, so that a
flood costs little more than receiving it. What a message has cost, in reports and events, is paid afterwards.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much may be used at once, and so much flows back in a second."""

    burst: float
    rate: float


MESSAGES: Final = Allowance(10_000, 50)
"""An agent sends at most ten bundles a second, and three messages beside them; what it says in seven hours in
which no worker is there is within the burst."""
BYTES: Final = Allowance(64 * 1024 * 1024, 1024 * 1024)
"""Sixty-four bundles of an agent are four megabytes."""
WORK: Final = Allowance(20_000, 200)
"""Reports, the events that they become, and signs of other nodes that an inventory has looked at: the largest
inventory, or all servers of a large node sealed."""
COSTS: Final[Mapping[type, int]] = {reports.Registration: 50, reports.Wanted: 5}
"""What a report costs that is answered; others cost 1."""
LARGEST: Final = 2 * reports.MOST_BYTES
"""Bytes of an envelope that is looked at: base64 makes four of three."""
KNOWN: Final = 10_000
"""Users whose buckets are remembered."""


class OverQuota(Exception):
    """The node says more than it may; it is heard again when it has been silent for a while."""

    code = "report.over-quota"


class TooLarge(Exception):
    """The message is larger than any that an agent sends."""

    code = "report.too-large"


@dataclass(slots=True)
class _Bucket:
    """What is left of an allowance, which may be less than nothing."""

    allowance: Allowance
    at: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.allowance.burst

    def look(self, now: float) -> float:
        """Return what is left now."""
        flown = max(0.0, now - self.at) * self.allowance.rate
        self.left, self.at = min(self.allowance.burst, self.left + flown), now
        return self.left


@dataclass(slots=True)
class _Account:
    messages: _Bucket
    bytes: _Bucket
    work: _Bucket


class Quota:
    """The buckets of all users. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def admit(self, sender: str, size: int) -> None:
        """Take a message of so many bytes from a user, before it is read. Raises TooLarge, OverQuota.

        One that is too large costs as much as the largest. A user in debt gets into no more of it.
        """
        now, account = self._clock(), self._of(sender)
        if min(account.messages.look(now), account.bytes.look(now)) < 1:
            raise OverQuota
        account.messages.left -= 1
        account.bytes.left -= min(size, LARGEST)
        if size > LARGEST:
            raise TooLarge

    def give_back(self, sender: str, size: int) -> None:
        """Take back what a message has cost: it could not be worked on, and comes again."""
        account = self._of(sender)
        account.messages.left += 1
        account.bytes.left += min(size, LARGEST)

    def may_work(self, sender: str, spent: int) -> bool:
        """Say whether a user may have more done who has spent so much that is not paid yet."""
        return self._of(sender).work.look(self._clock()) - spent >= 1

    def pay(self, spent: Mapping[str, int]) -> None:
        """Take what users have had done."""
        for sender, work in spent.items():
            self._of(sender).work.left -= work

    def _of(self, sender: str) -> _Account:
        account = self._accounts.get(sender)
        if account is None:
            now = self._clock()
            account = _Account(_Bucket(MESSAGES, now), _Bucket(BYTES, now), _Bucket(WORK, now))
            self._accounts[sender] = account
        self._accounts.move_to_end(sender)
        if len(self._accounts) > KNOWN:
            self._accounts.popitem(last=False)
        return account


def cost_of(parts: int, report: object, work: int) -> int:
    """Return what an envelope of so many reports costs that made so much work.

    Work is the events that it became and the signs of other nodes that were looked at for it.
    """
    return parts - 1 + COSTS.get(type(report), 1) + work
