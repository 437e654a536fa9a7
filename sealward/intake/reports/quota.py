"""How much one node may say: a flood of one node slows that node alone.

There is a bucket for each of the broker's users and each kind of cost. What is paid for flows back with time;
a user in debt is not heard until it is paid. Messages and bytes are paid before anything is read, so that a
flood costs little more than receiving it. What a message has cost, in reports, in events and in bytes of the
log, is paid afterwards.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.error import SealwardError
from sealward.protocol import codec, reports

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
LOG: Final = Allowance(256 * 1024 * 1024, 16 * 1024)
"""Bytes that the log grows by: 20,000 servers sealed at once, and 1.3 GiB a day. A node of a thousand servers
that are all signed anew once a day needs a hundredth of that."""
OF_AN_EVENT: Final = 1024
"""Bytes that an event takes in the log beside what the message says that it came of."""
COSTS: Final[Mapping[type, int]] = {reports.Registration: 50, reports.Wanted: 5}
"""What a report costs that is answered; others cost 1."""
LARGEST: Final = 2 * codec.MOST_BYTES
"""Bytes of an envelope that is looked at: base64 makes four of three."""
KNOWN: Final = 10_000
"""Users whose buckets are remembered."""


class OverQuota(SealwardError):
    """The node says more than it may; it is heard again when it has been silent for a while."""

    code = "report.over-quota"


class OverLogQuota(SealwardError):
    """The node makes the log grow by more than it may; it is heard again when it was calm for a while."""

    code = "report.over-log-quota"


class TooLarge(SealwardError):
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

    def rest(self, now: float) -> float:
        """Return the seconds until there is something left."""
        return max(0.0, (1 - self.look(now)) / self.allowance.rate)

    def take(self, cost: float) -> None:
        """Take something; the debt never becomes larger than what may be used at once."""
        self.left = max(-self.allowance.burst, self.left - cost)


@dataclass(slots=True)
class _Account:
    messages: _Bucket
    bytes: _Bucket
    work: _Bucket
    log: _Bucket


@dataclass(slots=True)
class Spent:
    """What a user has had done and has not paid yet: work, and bytes of the log."""

    work: int = 0
    log: int = 0


class Quota:
    """The buckets of all users; `messages` takes the place of MESSAGES. For one thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, messages: Allowance | None = None
    ) -> None:
        self._clock = clock
        self._messages = messages
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def admit(self, payer: str, size: int) -> None:
        """Take a message of so many bytes from a user, before it is read. Raises TooLarge, OverQuota.

        One that is too large costs as much as the largest. A user in debt gets into no more of it.
        """
        if self.rest(payer) > 0:
            raise OverQuota
        self.owe(payer, size)
        if size > LARGEST:
            raise TooLarge

    def owe(self, payer: str, size: int) -> None:
        """Take a message of a user in debt all the same: the debt grows."""
        account = self._of(payer)
        account.messages.left -= 1
        account.bytes.left -= min(size, LARGEST)

    def rest(self, payer: str) -> float:
        """Return the seconds until a message of a user is read again; 0 where the next one is read."""
        now, account = self._clock(), self._of(payer)
        return max(account.messages.rest(now), account.bytes.rest(now))

    def give_back(self, payer: str, size: int) -> None:
        """Take back what a message has cost: it could not be worked on, and comes again."""
        account = self._of(payer)
        account.messages.left += 1
        account.bytes.left += min(size, LARGEST)

    def check(self, payer: str, spent: Spent) -> None:
        """Make sure that a user is not in debt, counting what it has `spent` in this batch and not paid yet.

        Raises OverQuota, OverLogQuota.
        """
        now, account = self._clock(), self._of(payer)
        if account.work.look(now) - spent.work < 1:
            raise OverQuota
        if account.log.look(now) - spent.log < 1:
            raise OverLogQuota

    def pay(self, spent: Mapping[str, Spent]) -> None:
        """Take what users have had done."""
        for payer, one in spent.items():
            account = self._of(payer)
            account.work.take(one.work)
            account.log.take(one.log)

    def _of(self, payer: str) -> _Account:
        account = self._accounts.get(payer)
        if account is None:
            now = self._clock()
            buckets = [_Bucket(one, now) for one in (self._messages or MESSAGES, BYTES, WORK, LOG)]
            account = _Account(*buckets)
            self._accounts[payer] = account
        self._accounts.move_to_end(payer)
        if len(self._accounts) > KNOWN:
            self._accounts.popitem(last=False)
        return account


def cost_of(parts: int, report: object, work: int) -> int:
    """Return what an envelope of so many reports costs that made so much work.

    Work is the events that it became and the signs of other nodes that were looked at for it.
    """
    return parts - 1 + COSTS.get(type(report), 1) + work


def bytes_of(size: int, events: int) -> int:
    """Return by how many bytes the log grows at most for a message of so many bytes, and its events.

    What a message says is in the log once, and in fewer bytes: an envelope makes four bytes of three.
    """
    return size + events * OF_AN_EVENT if events else 0
