"""The result of a sweep: one report about all servers of a node."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealward.events.wire import ranges
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sealward.events.cause import Cause


@dataclass(slots=True)
class Sweep:
    """The result so far. The report vouches for no server of `sealing`, whose reference may have changed.

    `vouched` and `withheld` have ids of signs; `lines` has the result of each server as text.
    """

    sealing: Collection[str] = ()
    vouched: list[int] = field(default_factory=list)
    withheld: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"true": 0, "false": 0, "unknown": 0})
    lines: list[str] = field(default_factory=list)

    def withhold(self, reason: str, sign_id: int) -> None:
        """Stop vouching for a sign, for a reason."""
        self.withheld.setdefault(reason, []).append(sign_id)

    def report(
        self, hostname: str, started_at: datetime, unsigned: int, cause: Cause, task_id: str | None
    ) -> reports.Sweep:
        """Return the report. `unsigned` is the number of servers of the node without a sign."""
        withheld = (reports.Withheld(reason, ranges.render(ids)) for reason, ids in self.withheld.items())
        return reports.Sweep(
            hostname=hostname,
            cause=cause,
            started_at=started_at,
            vouched=ranges.render(self.vouched),
            withheld=tuple(one for one in withheld if one.sign_ids),
            counts=self.counts | {"unsigned": unsigned},
            digest=hashlib.sha256("\n".join(self.lines).encode()).hexdigest(),
            task_id=task_id,
        )
