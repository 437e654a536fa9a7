"""The decision without an agent: from the ledger, by the hook itself, as the ledger's owner."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.node_agent.gate import apart, spool
from sealward.node_agent.gate.decision.conclusion import Conclusion, Server, conclude
from sealward.node_agent.gate.decision.dossier import LedgerUnreadable, read
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.gate.decision.unread import conclude_unread
from sealward.node_agent.gate.fallback import become_owner

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT: Final = b"left"
_UUID: Final = re.compile(rb"<uuid>([0-9a-fA-F-]{36})</uuid>")


class Told(NamedTuple):
    """What is left to do: let the server start or not, say why, report it."""

    allowed: bool
    text: str
    report: dict[str, object] | None
    record: str


def decide(
    folder: str, form: str, xml: bytes, *, must_be_told: bool = False
) -> tuple[bool, str, bytes, bytes]:
    """Return whether a server may start, what to say, the record of what was read, and what is not left.

    It is found out in a process apart, which gives up root and can be left behind: a server's files may be
    where whoever touches them never returns. An objection is left in the spool for the agent, by another one.
    Raises OSError and ValueError where a process ended without an answer: also with `must_be_told`, where
    the control plane never told the ledger anything.
    """
    moment = datetime.now(UTC).isoformat()
    found = apart.answer(
        lambda: json.dumps(_found_out(folder, form, xml, moment, must_be_told=must_be_told)).encode()
    )
    told = Told(*json.loads(found))
    is_left = told.report is None or apart.answer(lambda: _left(folder, told.report)) == LEFT
    unsaid = b"" if is_left else json.dumps(told.report, separators=(",", ":")).encode()
    return told.allowed, told.text, told.record.encode(), unsaid


def _found_out(folder: str, form: str, xml: bytes, moment: str, *, must_be_told: bool) -> Told:
    become_owner(folder)
    if must_be_told and not read(folder, "").is_told:
        raise LedgerUnreadable(f"{folder}: the control plane has told it nothing")
    return _told(_decided(folder, form, xml, moment), moment)


def _left(folder: str, report: dict[str, object] | None) -> bytes:
    become_owner(folder)
    return LEFT if spool.leave(folder, report) else b""


def _told(conclusion: Conclusion, moment: str) -> Told:
    return Told(conclusion.allowed, conclusion.text, conclusion.report(moment), conclusion.record)


def _decided(folder: str, form: str, xml: bytes, moment: str) -> Conclusion:
    try:
        return _decision()(folder, form, xml, datetime.fromisoformat(moment))
    except Exception as failed:  # noqa: BLE001 - a start waits for an answer: the policy gives it
        return undecided(folder, xml, Reason.FAILED, type(failed).__name__)


def undecided(folder: str, xml: bytes, reason: Reason, detail: str = "") -> Conclusion:
    """Return what the policy makes of it that nothing could be found out."""
    found = _UUID.search(xml)
    server = Server(found[1].decode().lower() if found else None, "")
    try:
        policy = read(folder, server.server_id or "").policy
    except LedgerUnreadable:
        return conclude_unread(folder, server, reason, detail)
    return conclude(server, policy, [(reason, ())], detail)


def _decision() -> Callable[[str, str, bytes, datetime], Conclusion]:
    """Return the function that needs the heavy libraries: a clock is running while they load."""
    from sealward.node_agent.gate.decision.decision import decide  # noqa: PLC0415 - see above

    return partial(decide, is_answered=lambda _server_id: False)
