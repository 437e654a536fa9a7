"""How many scarce things, and wrong tokens, a token, an address and all together may have.

The counts are those of one process: each of several API processes behind a load balancer allows as much.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

PER_ADDRESS: Final = 3
"""How many times a token's share an address may hold: several users can share an address."""
MINUTE: Final = 60.0
REPEATED: Final = 0.1
"""The cost of a wrong token that is repeated, in guesses: a client with an expired token repeats it, and does
not guess."""
REMEMBERED: Final = 10_000
"""Addresses, and pairs of a good token and its address, that are remembered."""
RECENT: Final = 8
"""Wrong tokens that are remembered for an address."""


class Exceeded(Exception):
    """An allowance is used up: that of the token or the address (`own`), or that of all together."""

    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.own = own


class Allowance:
    """How many things of one kind each token, each address, and all together may hold at a time."""

    def __init__(self, per_token: int, total: int) -> None:
        self._per_token, self._per_address, self._total = per_token, per_token * PER_ADDRESS, total
        self._lock = threading.Lock()
        self._tokens: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._held = 0

    def take(self, token: str, address: str) -> Callable[[], None]:
        """Take one thing, and return the function that gives it back, which may be called twice.

        Raises Exceeded.
        """
        with self._lock:
            if self._tokens[token] >= self._per_token or self._addresses[address] >= self._per_address:
                raise Exceeded(own=True)
            if self._held >= self._total:
                raise Exceeded(own=False)
            self._change(token, address, 1)
        held = [(token, address)]

        def give_back() -> None:
            with self._lock:
                while held:
                    self._change(*held.pop(), -1)

        return give_back

    def _change(self, token: str, address: str, by: int) -> None:
        for counts, key in ((self._tokens, token), (self._addresses, address)):
            counts[key] += by
            if not counts[key]:
                del counts[key]
        self._held += by


class Guesses:
    """The wrong tokens of each address. The tokens of an address that guesses are not looked up for a while.

    Each address has a bucket of guesses that fills up in a minute, and a wrong token takes one out. While the
    bucket is empty, tokens from that address are refused without being looked up, except tokens that were
    good at that address before: users who work there go on. Of a token only a hash is kept, which no other
    process can compute.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float, tuple[int, ...]]] = OrderedDict()
        """By address: the guesses left, the time at which they were counted, and the hashes of the last wrong
        tokens."""
        self._good: dict[int, None] = {}

    def seconds(self, address: str, secret: str) -> float:
        """Return the seconds until a token may be looked up; 0 for now."""
        if address not in self._buckets or self._mark(address, secret) in self._good:
            return 0.0
        with self._lock:
            left, _ = self._left(address)
        return 0.0 if left >= 1 else (1 - left) * MINUTE / self._most

    def refused(self, address: str, secret: str) -> None:
        """Note a wrong token."""
        mark = self._mark(address, secret)
        with self._lock:
            left, recent = self._left(address)
            cost = REPEATED if mark in recent else 1.0
            recent = (*[one for one in recent if one != mark][-RECENT + 1 :], mark)
            self._buckets[address] = (max(0.0, left - cost), self._clock(), recent)
            self._buckets.move_to_end(address)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)

    def accepted(self, address: str, secret: str) -> None:
        """Note a good token."""
        mark = self._mark(address, secret)
        if mark not in self._good:
            with self._lock:
                self._good[mark] = None
                if len(self._good) > REMEMBERED:
                    del self._good[next(iter(self._good))]

    def _left(self, address: str) -> tuple[float, tuple[int, ...]]:
        left, then, recent = self._buckets.get(address, (self._most, self._clock(), ()))
        return min(self._most, left + (self._clock() - then) * self._most / MINUTE), recent

    def _mark(self, *of: Hashable) -> int:
        return hash(of)
