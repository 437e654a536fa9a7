"""Whose inboxes are read: those of nodes, and of hosts that are invited to become nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.bus.inbox import Inbox
from sealward.events.bus.permissions import user_of
from sealward.protocol.queues import INBOX, inbox_of

if TYPE_CHECKING:
    from sealward.events.store.store import EventStore
    from sealward.projections.database import Projections

SHARED: Final = Inbox(INBOX)
"""Agents of earlier versions report here, and hosts that register uninvited."""


class Inboxes:
    """Reads the rows of hosts. For one thread.

    The rows can be behind the log, for minutes after an upgrade. A host that is missing in the rows is gone
    only when they stand for all that was in the log when the host was missed. The inbox of a host that is
    gone is deleted with what is in it.
    """

    def __init__(self, store: EventStore, projections: Projections) -> None:
        self._store = store
        self._projections = projections
        self._listed: set[str] = set()
        self._missed: dict[str, int] = {}
        """By hostname the head of the log when a host was missed."""

    def all(self) -> list[Inbox]:
        """Return the inboxes that are read. Raises StoreUnavailable."""
        with self._projections.reading() as tables:
            position = self._projections.position(tables)
            hosts = set(self._projections.hosts.all(tables))
        missed = self._listed - hosts
        self._missed = {one: self._missed.get(one) or self._store.head() for one in missed}
        self._listed = hosts | {one for one in missed if position < self._missed[one]}
        return [SHARED, *(Inbox(inbox_of(one), user_of(one)) for one in sorted(self._listed))]
