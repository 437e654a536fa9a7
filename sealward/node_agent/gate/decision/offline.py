"""The decision without an agent: the hook decides from the ledger, as the ledger's owner."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.node_agent.gate import fork, spool
from sealward.node_agent.gate.decision.conclusion import Conclusion, Server, conclude
from sealward.node_agent.gate.decision.dossier import LedgerUnreadable, read
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.gate.decision.unread import conclude_unread
from sealward.node_agent.gate.fallback import become_owner

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT: Final = b"left"
_UUID: Final = re.compile(rb"<uuid>([0-9a-fA-F-]{36})</uuid>")


class Result(NamedTuple):
    """The result of the child process that decides.

    `allowed` says whether the server may start, `text` is for the user. `report` is the objection to be
    reported, if there is one; `record` is the record of the files that were read.
    """

    allowed: bool
    text: str
    report: dict[str, object] | None
    record: str


def decide(
    folder: str, form: str, xml: bytes, *, must_be_told: bool = False
) -> tuple[bool, str, bytes, bytes]:
    """Return whether a server may start, the text for the user, the record, and an objection not yet left.

    A child process decides. It gives up root, and can be left behind where a server's files are on a file
    system that hangs. A second child leaves an objection in the spool; the last item returned is empty if
    that succeeded. Raises OSError and ValueError where a child ended without an answer; so it does with
    `must_be_told` where the control plane never told the ledger anything.
    """
    moment = datetime.now(UTC).isoformat()
    found = fork.answer(
        lambda: json.dumps(_found_out(folder, form, xml, moment, must_be_told=must_be_told)).encode()
    )
    result = Result(*json.loads(found))
    is_left = result.report is None or fork.answer(lambda: _left(folder, result.report)) == LEFT
    unsaid = b"" if is_left else json.dumps(result.report, separators=(",", ":")).encode()
    return result.allowed, result.text, result.record.encode(), unsaid


def _found_out(folder: str, form: str, xml: bytes, moment: str, *, must_be_told: bool) -> Result:
    become_owner(folder)
    if must_be_told and not read(folder, "").is_told:
        raise LedgerUnreadable(f"{folder}: the control plane has told it nothing")
    return _result(_decided(folder, form, xml, moment), moment)


def _left(folder: str, report: dict[str, object] | None) -> bytes:
    become_owner(folder)
    return LEFT if spool.leave(folder, report) else b""


def _result(conclusion: Conclusion, moment: str) -> Result:
    return Result(conclusion.allowed, conclusion.text, conclusion.report(moment), conclusion.record)


def _decided(folder: str, form: str, xml: bytes, moment: str) -> Conclusion:
    try:
        return _decision()(folder, form, xml, datetime.fromisoformat(moment))
    except Exception as failed:  # noqa: BLE001 - a start waits for an answer: the policy gives it
        return undecided(folder, xml, Reason.FAILED, type(failed).__name__)


def undecided(folder: str, xml: bytes, reason: Reason, detail: str = "") -> Conclusion:
    """Return the policy's decision about a start that could not be examined for the given reason."""
    found = _UUID.search(xml)
    server = Server(found[1].decode().lower() if found else None, "")
    try:
        policy = read(folder, server.server_id or "").policy
    except LedgerUnreadable:
        return conclude_unread(folder, server, reason, detail)
    return conclude(server, policy, [(reason, ())], detail)


def _decision() -> Callable[[str, str, bytes, datetime], Conclusion]:
    """Return `decision.decide`.

    It is imported late, because its libraries take time to load and the clock runs.
    """
    from sealward.node_agent.gate.decision.decision import decide  # noqa: PLC0415 - see above

    return partial(decide, is_answered=lambda _server_id: False)
