"""The inboxes that the intake reads: of nodes, and of hosts that are invited to become nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.bus.inbox import Inbox
from sealward.events.bus.permissions import user_of
from sealward.protocol.queues import INBOX, inbox_of

if TYPE_CHECKING:
    from sealward.events.store.store import EventStore
    from sealward.projections.store.database import Projections

SHARED: Final = Inbox(INBOX)
"""The inbox that agents of earlier versions and uninvited hosts share."""


class Inboxes:
    """Lists inboxes from the projection of hosts. For one thread.

    The projection can be behind the log, for minutes after an upgrade. So a host that disappears from the
    projection is listed until the projection has reached the head that the log had at the disappearance. The
    inbox of a host that is listed no longer is deleted with its messages.
    """

    def __init__(self, store: EventStore, projections: Projections) -> None:
        self._store = store
        self._projections = projections
        self._listed: set[str] = set()
        self._missed: dict[str, int] = {}
        """By hostname of a host that has disappeared: the head that the log had then."""

    def all(self) -> list[Inbox]:
        """Return the inboxes to read. Raises StoreUnavailable."""
        with self._projections.reading() as tables:
            position = self._projections.position(tables)
            hosts = set(self._projections.hosts.all(tables))
        missed = self._listed - hosts
        self._missed = {one: self._missed.get(one) or self._store.head() for one in missed}
        self._listed = hosts | {one for one in missed if position < self._missed[one]}
        return [SHARED, *(Inbox(inbox_of(one), user_of(one)) for one in sorted(self._listed))]
