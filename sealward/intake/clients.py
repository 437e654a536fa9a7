"""Orders of Celery clients, with a quota for each client: a flood of one client holds up no other client."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from sealward.error import SealwardError
from sealward.events.bus.inbox import Inbox
from sealward.events.bus.message import Dropped, Later, Poison
from sealward.events.store.store import StoreUnavailable
from sealward.intake import orders
from sealward.intake.reports.quota import Allowance, OverQuota, Quota, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sealward.control.unproven import Unproven
    from sealward.events.bus.message import Delivered
    from sealward.intake.orders import Orders

ORDERS: Final = Allowance(1_000, 5)
"""Orders of one client: it can order both actions for all nodes of a large fleet at once."""
SHARED: Final = Inbox(orders.INBOX, is_read_by_one=False)
"""The inbox of the clients that have no inbox of their own."""


class OrderOverQuota(SealwardError):
    """The client gives more orders than it may; give it an inbox of its own (SEALWARD_CELERY_CLIENTS)."""

    code = "order.over-quota"


class Clients:
    """Has orders carried out. `names` are users of the broker with inboxes of their own. For one thread.

    The orders of a client in debt wait in the client's own inbox. In the shared inbox they would hold up
    other clients, so there they are dropped and counted. In the shared inbox an order counts against the
    quota of the user whom it names as its sender (`user_id`). All orders without a sender share one quota.
    """

    def __init__(
        self,
        taken: Orders,
        names: Iterable[str],
        unproven: Unproven,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orders = taken
        self._inboxes = [SHARED, *(Inbox(f"{orders.INBOX}.{one}", one) for one in names)]
        self._unproven = unproven
        self._quota = Quota(clock, messages=ORDERS)

    def inboxes(self) -> Sequence[Inbox]:
        """Return the inboxes of orders."""
        return self._inboxes

    def rest(self, user: str) -> float:
        """Return for how many seconds no order of a client is processed."""
        return self._quota.rest(user)

    def take(self, batch: Sequence[Delivered]) -> list[Poison | None]:
        """Carry out orders; return for each why it is poison, or None. Raises Later: all come again."""
        paid: list[Delivered] = []
        try:
            answers = [self._take(one, paid) for one in batch]
        except Later:
            for one in paid:
                self._quota.give_back(_payer(one), len(one.body))
            raise
        dropped = [one for one, why in zip(batch, answers, strict=True) if isinstance(why, Dropped)]
        with contextlib.suppress(StoreUnavailable):
            self._unproven.add(Counter((_payer(one), OrderOverQuota.code) for one in dropped))
        return answers

    def _take(self, message: Delivered, paid: list[Delivered]) -> Poison | None:
        try:
            self._quota.admit(_payer(message), len(message.body))
            paid.append(message)
        except TooLarge:
            return Poison("order.malformed", "too large")
        except OverQuota:
            if message.inbox is None:
                return Dropped(OrderOverQuota.code, str(OrderOverQuota.__doc__))
            self._quota.owe(message.inbox, len(message.body))
            paid.append(message)
        try:
            self._orders.take(message.body, message.headers, message.inbox)
        except Poison as poison:
            return poison
        return None


def _payer(message: Delivered) -> str:
    return message.inbox or message.sender or ""
