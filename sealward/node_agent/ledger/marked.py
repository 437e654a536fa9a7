"""A ledger that counts its changes, in itself and in a mark beside its folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.mark import CHANGE, SIGNERS, Mark, beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealward.node_agent.ledger.ledger import Entry

log = logging.getLogger(__name__)


class MarkedLedger(Ledger):
    """A ledger that writes each change to its file first, and then to the mark.

    A process that dies in between leaves a mark that is behind, which does no harm. The answer to a
    registration replaces the whole state, so it makes a ledger that was put back the newest again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._mark = Mark(Path(beside(str(path.parent))))
        self._change = int(self.fact(CHANGE) or 0)
        if self._change < self._mark.change():
            log.warning("%s was put back: until the control plane answers, its mark is believed", self.folder)

    def close(self) -> None:
        """Close the files."""
        super().close()
        self._mark.close()

    def put(self, entry: Entry) -> None:
        """Keep an entry, unless the ledger has a newer entry of that server."""
        super().put(entry)
        self._count(lambda mark: mark.note(entry.server_id, entry.sign_id, entry.generation))

    def remove(self, server_id: str) -> None:
        """Forget a server."""
        super().remove(server_id)
        self._count(lambda mark: mark.forget(server_id))

    def replace_all(self, entries: Iterable[Entry]) -> None:
        """Keep these entries and no others, in one transaction."""
        kept = list(entries)
        super().replace_all(kept)
        noted = [(one.server_id, one.sign_id, one.generation) for one in kept]
        self._count(lambda mark: mark.replace_all(noted), whole=True)

    def keep_fact(self, name: str, value: str) -> None:
        """Set the value of a named fact."""
        super().keep_fact(name, value)
        if name == SIGNERS:
            self._count(lambda mark: mark.keep_fact(name, value))

    def keep_policy(self, server_id: str, policy: str, position: int | None) -> None:
        """Keep a policy."""
        super().keep_policy(server_id, policy, position)
        self._count(lambda mark: mark.keep_policy(server_id, policy, position))

    def forget_policy(self, server_id: str) -> None:
        """Forget the policy of a server."""
        super().forget_policy(server_id)
        self._count(lambda mark: mark.forget_policy(server_id))

    def replace_policies(self, rows: Iterable[tuple[str, str, int | None]]) -> None:
        """Keep these policies and no others, in one transaction."""
        kept = list(rows)
        super().replace_policies(kept)
        self._count(lambda mark: mark.replace_policies(kept))

    def _count(self, repeat: Callable[[Mark], None], *, whole: bool = False) -> None:
        """Count a change, and repeat it in the mark. A change of the `whole` makes this ledger the newest."""
        before = self._mark.change()
        self._change = (max(self._change, before) if whole else self._change) + 1
        super().keep_fact(CHANGE, str(self._change))
        repeat(self._mark)
        if self._change > before:
            self._mark.keep_fact(CHANGE, str(self._change))
