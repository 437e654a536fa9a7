"""The last reports of this node about each server, and the verdicts that the control plane recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealward.events.is_valid import IsValid
from sealward.node_agent.validation.comparison import EQUAL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sealward.node_agent.validation.comparison import Comparison

CHANGED_BACK_EVERY: Final = timedelta(minutes=1)
"""The time between two reports of changes of a server that were undone, at least."""
JUST: Final = timedelta(seconds=1)
"""The time after a report in which a change that was undone is taken for the change that was reported."""


class Reported:
    """Remembers the last report of each server, so that an agent reports news only.

    A report that did not become an event may be lost. So the class also remembers which servers have a
    recorded verdict of false; a report that the recorded verdict contradicts is made again.

    For the thread of one agent.
    """

    def __init__(self) -> None:
        self._results: dict[str, str] = {}
        """By server the result that was reported last: EQUAL, digests, or the code of a failure."""
        self._false: set[str] = set()
        """The servers whose recorded verdict is false."""
        self._jobs: dict[str, tuple[str, ...]] = {}
        """By server the block jobs that were reported last; no block jobs where nothing was reported."""
        self._news_at: dict[str, datetime] = {}
        """By server when a new result was measured last."""
        self._changed_back: dict[str, datetime] = {}
        """By server when a change that was undone was reported last."""
        self._different: set[str] = set()
        """The servers that were changed when this node measured them last (`Comparison.is_changed`)."""

    def begin(self, equal: Iterable[str], false: Iterable[str]) -> None:
        """Take over the results that the control plane has recorded; other results count as not reported.

        For a server of `equal`, the result EQUAL counts as reported. The recorded verdict of a server of
        `false` is false.
        """
        self._results = dict.fromkeys(equal, EQUAL)
        self._false = set(false)

    def result(self, server_id: str) -> str | None:
        """Return the result that was reported last of a server; None where the next result is news."""
        return self._results.get(server_id)

    def note(self, server_id: str, result: str) -> None:
        """Note that a result was reported."""
        self._results[server_id] = result

    def note_comparison(self, comparison: Comparison) -> None:
        """Note that a comparison was reported, with the block jobs that ran."""
        server_id = comparison.reference.server_id
        self._results[server_id] = comparison.result
        self._jobs[server_id] = comparison.measured.measurement.jobs

    def note_news(self, server_id: str, moment: datetime) -> None:
        """Note that a new result of a server was reported, from a measurement at that moment."""
        self._news_at[server_id] = moment

    def has_other_jobs(self, comparison: Comparison) -> bool:
        """Say whether block jobs have begun or ended since block jobs were reported last."""
        return comparison.measured.measurement.jobs != self._jobs.get(comparison.reference.server_id, ())

    def may_tell_of_change_back(self, server_id: str, moment: datetime) -> bool:
        """Say whether a change that was undone may be reported, and note that it is.

        It may once a minute for each server, and not where the agent has just reported a new result: then
        the agent has seen the change.
        """
        times = ((self._changed_back, CHANGED_BACK_EVERY), (self._news_at, JUST))
        for kept, span in times:
            last = kept.get(server_id)
            if last is not None and last <= moment < last + span:
                return False
        self._changed_back[server_id] = moment
        return True

    def report_again(self, server_id: str) -> None:
        """Have the next result of a server reported, also if it is the same as before."""
        self._results.pop(server_id, None)

    def note_verdict(self, server_id: str, is_valid: IsValid) -> None:
        """Note which verdict the control plane has recorded."""
        if is_valid is IsValid.FALSE:
            self._false.add(server_id)
        else:
            self._false.discard(server_id)

    def note_difference(self, server_id: str, *, is_different: bool) -> None:
        """Note whether this node found that a server was changed (`Comparison.is_changed`)."""
        if is_different:
            self._different.add(server_id)
        else:
            self._different.discard(server_id)

    def is_different(self, server_id: str) -> bool:
        """Say whether this node found that a server was changed when it measured the server last."""
        return server_id in self._different

    def is_recorded(self, comparison: Comparison) -> bool:
        """Say whether a result was reported before, and the recorded verdict agrees with the result."""
        server_id = comparison.reference.server_id
        if self._results.get(server_id) != comparison.result:
            return False
        verdict = comparison.verdict
        return verdict is IsValid.UNKNOWN or (verdict is IsValid.FALSE) == (server_id in self._false)

    def forget(self, server_id: str) -> None:
        """Forget a server that is no longer signed."""
        self._results.pop(server_id, None)
        self._jobs.pop(server_id, None)
        self._changed_back.pop(server_id, None)
        self._news_at.pop(server_id, None)
        self._false.discard(server_id)
        self._different.discard(server_id)
