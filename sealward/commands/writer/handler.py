"""The one writer: it loads streams, decides and appends, and starts again when another writer was first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sealward import logs
from sealward.commands.errors import Rejected
from sealward.commands.writer.deciders import Surroundings, decide
from sealward.commands.writer.stream_cache import StreamCache
from sealward.commands.writer.unit_of_work import UnitOfWork
from sealward.commands.writer.unreadable import Unreadables
from sealward.events.set_aside import only_said
from sealward.events.signing import envelope as envelopes
from sealward.events.store.store import VersionConflict
from sealward.events.values import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.commands import messages as ask
    from sealward.events.base import Event
    from sealward.events.set_aside import SetAside
    from sealward.events.signing.envelope import Envelope
    from sealward.events.store.store import EventStore

ATTEMPTS: Final = 20
Done = TypeVar("Done")


class TooMuchContention(Rejected):
    """Other writers were first too often: try again in a moment."""

    code = "store.contention"


class Handler:
    """Decides on commands and appends the events. Safe for many threads, and beside other processes.

    `authority` is the key that countersigns references; None in a process that seals nothing. A true verdict
    lives for `fresh_for`. `set_aside` is called for each event that makes its stream unreadable.
    """

    def __init__(
        self,
        store: EventStore,
        authority: Ed25519PrivateKey | None,
        *,
        clock: Callable[[], datetime],
        fresh_for: timedelta,
        set_aside: SetAside = only_said,
    ) -> None:
        self._store = store
        self._authority = authority
        self._clock = clock
        self._fresh_for = fresh_for
        self._cache = StreamCache()
        self._unreadables = Unreadables(store, set_aside)

    def handle(self, command: ask.Command) -> int:
        """Carry out a command and return the position up to which it can be read back.

        Raises Rejected: then nothing was written.
        """
        ids = {"request_id": command.request_id, "task_id": command.task_id}
        with logs.about(actor=command.actor, **ids):
            position, _ = self.together(lambda batch: batch.handle(command))
        return position

    def together(self, work: Callable[[UnitOfWork], Done]) -> tuple[int, Done]:
        """Append the events that `work` decides, in one transaction; return position and result of `work`.

        When another writer was first, `work` is called again, with a new batch; also when the log cannot
        carry an event: then with a batch that refuses the command which leads to it.
        Raises TooMuchContention, and the errors of `work`: then nothing was written.
        """
        is_careful = False
        for _ in range(ATTEMPTS):
            batch = UnitOfWork(self._store, self._decide, self._cache, is_careful=is_careful)
            try:
                done = work(batch)
                return batch.append(), done
            except VersionConflict:
                continue
            except Unfit:
                is_careful = True
            finally:
                self._unreadables.note(batch.unreadable)
        raise TooMuchContention

    def _decide(self, state: Any, command: ask.Command) -> list[Event]:  # noqa: ANN401 - of any stream
        around = Surroundings(self._clock(), self._fresh_for, self._store.next_id, self._countersign)
        return decide(state, command, around)

    def _countersign(self, command: ask.RecordMeasurement) -> Envelope:
        if self._authority is None:
            raise TypeError("a process without the authority's key seals nothing")
        if not command.is_signed:
            envelopes.verify(command.envelope, [command.key])
        return envelopes.sign(command.envelope, self._authority)
