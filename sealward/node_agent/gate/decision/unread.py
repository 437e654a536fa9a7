"""The decision when the ledger cannot be read: by the posted policy, which names the signed servers.

A full disk is enough to make a ledger unreadable: SQLite creates files beside a database that no process has
open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events.policy import DEFAULT, OnDoubt, Policy, Unsigned
from sealward.node_agent.gate.decision.conclusion import Conclusion, Server, conclude
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.gate.fallback import Posted

if TYPE_CHECKING:
    from collections.abc import Iterator


def conclude_unread(
    folder: str, server: Server, reason: Reason = Reason.LEDGER, detail: str = ""
) -> Conclusion:
    """Return the conclusion of the posted policy about a start. Without a policy no start is refused."""
    posted = Posted(folder)
    if not posted.is_there:
        return conclude(server, DEFAULT, [(reason, ())], detail)
    refuses, is_signed = posted.of((server.server_id or "").encode())
    is_unsigned = server.server_id is not None and not is_signed and reason is not Reason.UNREADABLE
    policy = Policy(
        on_start=OnDoubt.REFUSE if refuses and not is_unsigned else OnDoubt.OBSERVE,
        unsigned=Unsigned.REFUSE if posted.refuses_unsigned else Unsigned.ALLOW,
    )
    return conclude(server, policy, _doubts(reason, is_unsigned=is_unsigned), detail)


def _doubts(reason: Reason, *, is_unsigned: bool) -> Iterator[tuple[Reason, tuple[()]]]:
    yield reason, ()
    if is_unsigned:
        yield Reason.UNANSWERED, ()
