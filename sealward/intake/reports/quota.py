"""Quotas for the messages of each user of the broker: a flood of one node slows that node alone.

A user has a token bucket for each kind of cost. Buckets refill with time. No message of a user in debt is
processed until the debt is paid. Messages and bytes are charged before a message is decoded, so that a flood
costs little more than receiving it. Reports, events and bytes of the log are charged after the message was
processed.
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
    """The size of a bucket, `burst`, and how much of it is refilled each second, `rate`."""

    burst: float
    rate: float


MESSAGES: Final = Allowance(10_000, 50)
"""An agent sends at most ten bundles and three other messages a second. The messages of seven hours in which
no worker runs are within the burst."""
BYTES: Final = Allowance(64 * 1024 * 1024, 1024 * 1024)
"""Sixty-four bundles of an agent have four megabytes."""
WORK: Final = Allowance(20_000, 200)
"""Reports, the events that follow from them, and signs of other nodes that an inventory concerns. The burst
is the largest inventory, or the seals of all servers of a large node."""
LOG: Final = Allowance(256 * 1024 * 1024, 16 * 1024)
"""Bytes by which the log grows: 20,000 servers sealed at once, and 1.3 GiB a day. A node of a thousand
servers that are all signed anew once a day needs a hundredth of that."""
OF_AN_EVENT: Final = 1024
"""Bytes that an event takes in the log beside the content of its message."""
COSTS: Final[Mapping[type, int]] = {reports.Registration: 50, reports.Wanted: 5}
"""The cost of reports that are answered. Other reports cost 1."""
LARGEST: Final = 2 * codec.MOST_BYTES
"""Bytes of the largest envelope that is decoded: base64 makes four bytes of three."""
KNOWN: Final = 10_000
"""Users whose buckets are kept."""


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
    """A token bucket. `left` is negative while its user is in debt."""

    allowance: Allowance
    at: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.allowance.burst

    def level(self, now: float) -> float:
        """Refill the bucket up to `now`; return the units that are left in it."""
        flown = max(0.0, now - self.at) * self.allowance.rate
        self.left, self.at = min(self.allowance.burst, self.left + flown), now
        return self.left

    def rest(self, now: float) -> float:
        """Return the seconds until one unit is left."""
        return max(0.0, (1 - self.level(now)) / self.allowance.rate)

    def take(self, cost: float) -> None:
        """Charge a cost. The debt never exceeds the burst."""
        self.left = max(-self.allowance.burst, self.left - cost)


@dataclass(slots=True)
class _Account:
    messages: _Bucket
    bytes: _Bucket
    work: _Bucket
    log: _Bucket


@dataclass(slots=True)
class Spent:
    """Costs of a user in the batch at hand that are not charged yet: work, and bytes of the log."""

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
        """Charge a message of `size` bytes to a user before it is decoded. Raises TooLarge, OverQuota.

        A message that is too large costs as much as the largest. A user in debt is not charged.
        """
        if self.rest(payer) > 0:
            raise OverQuota
        self.owe(payer, size)
        if size > LARGEST:
            raise TooLarge

    def owe(self, payer: str, size: int) -> None:
        """Charge a message to a user who may be in debt already."""
        account = self._of(payer)
        account.messages.left -= 1
        account.bytes.left -= min(size, LARGEST)

    def rest(self, payer: str) -> float:
        """Return the seconds until the next message of a user is processed; 0 if it is processed now."""
        now, account = self._clock(), self._of(payer)
        return max(account.messages.rest(now), account.bytes.rest(now))

    def give_back(self, payer: str, size: int) -> None:
        """Refund a message that could not be processed and will be delivered again."""
        account = self._of(payer)
        account.messages.left += 1
        account.bytes.left += min(size, LARGEST)

    def check(self, payer: str, spent: Spent) -> None:
        """Raise OverQuota or OverLogQuota if a user is in debt; `spent` are its costs in this batch."""
        now, account = self._clock(), self._of(payer)
        if account.work.level(now) - spent.work < 1:
            raise OverQuota
        if account.log.level(now) - spent.log < 1:
            raise OverLogQuota

    def pay(self, spent: Mapping[str, Spent]) -> None:
        """Charge the costs of a batch to its users."""
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
    """Return the cost of an envelope with `parts` reports.

    `work` counts the events that followed from it and the signs of other nodes that were considered for it.
    """
    return parts - 1 + COSTS.get(type(report), 1) + work


def bytes_of(size: int, events: int) -> int:
    """Return by how many bytes a message of `size` bytes and its events make the log grow at most.

    The content of a message is in the log once, in fewer bytes: base64 makes four bytes of three.
    """
    return size + events * OF_AN_EVENT if events else 0
