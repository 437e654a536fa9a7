"""The signs as they were known at an earlier moment, folded from the log up to that moment."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.error import SealwardError
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sealward.events.store.store import EventStore
    from sealward.projections.signs import Signs
    from sealward.projections.store.tables import Tables

PATIENCE: Final = 30.0
"""Seconds that a question about the past waits for the previous question."""


class PastBusy(SealwardError):
    """Another question about the past is being answered; ask again in a moment."""

    code = "past.busy"


class Past:
    """Answers questions about the past, a single question at a time.

    The first question folds the log up to its moment, about 30,000 events a second. The rows are kept: a
    question about a later moment folds only the events between the two moments.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._projections: Projections | None = None

    @contextlib.contextmanager
    def at(self, moment: datetime) -> Iterator[tuple[Signs, Tables]]:
        """Give the signs as they were known at a moment; read verdicts with `verdict_at(moment)`.

        Raises PastBusy.
        """
        with self.up_to(self._store.position_at(moment)) as found:
            yield found

    @contextlib.contextmanager
    def up_to(
        self, position: int, progress: Callable[[int], object] = lambda _: None
    ) -> Iterator[tuple[Signs, Tables]]:
        """Give the signs as of a position; `progress` is called with the number of events of each batch."""
        if not self._lock.acquire(timeout=PATIENCE):
            raise PastBusy
        try:
            projections = self._not_beyond(position)
            while batch := projections.advance(self._store, until=position):
                progress(batch)
            with projections.reading() as tables:
                yield projections.signs, tables
        finally:
            self._lock.release()

    def close(self) -> None:
        """Delete the folded rows."""
        if self._projections is not None:
            self._projections.close()
            self._projections = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _not_beyond(self, position: int) -> Projections:
        """Return projections whose position is not beyond `position`; they may be new and empty."""
        if self._projections is not None and self._projections.position_now() > position:
            self.close()
        if self._projections is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sealward-past-")
            backend = SqliteBackend(Path(self._folder.name) / "past.sqlite")
            self._projections = Projections(backend, only=("signs", "envelopes"))
        return self._projections
