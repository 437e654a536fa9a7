"""ETags of signs and verdicts: against lost updates (If-Match), and for cheap polling (If-None-Match).

https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests. The tag of a sign covers what an
administrator looks at before a decision: generations, verdict, reasons, findings. The tag of a verdict is the
sign's tag, a dot, and a digest of the time at which the server was checked. Both can be sent with If-Match. A
sweep that finds nothing new does not change the tag of a sign.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import falcon
import msgspec

from sealward.commands.errors import Changed, NotSigned
from sealward.commands.messages import Expected

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.http.services import Services
    from sealward.projections.signs import SignRow

SIZE = 16
"""Hexadecimal digits of a tag."""


def tag(row: SignRow, now: datetime) -> str:
    """Return the tag of a sign at the moment `now`."""
    verdict = row.verdict_at(now)
    seen = (
        (row.sign_id, row.node_id, row.instance_name, row.ordered, row.sealed, row.updated_at),
        (verdict.is_valid, verdict.reasons, verdict.findings),
        (verdict.fingerprint, sorted(row.binding.recorded.items())),
    )
    return _digest(seen)


def verdict_tag(row: SignRow, now: datetime) -> str:
    """Return the tag of a verdict at the moment `now`."""
    verdict = row.verdict_at(now)
    return f"{tag(row, now)}.{_digest((verdict.checked_at, verdict.fresh_until, verdict.claims))}"


def is_known(req: falcon.Request, resp: falcon.Response, current: str) -> bool:
    """Add the tag to the answer. Where the client has this version already, answer 304 and return True."""
    resp.etag = current
    asked = req.if_none_match or ()
    if not any(one in ("*", current) for one in asked):
        return False
    resp.status = falcon.HTTP_304
    return True


def only_if(req: falcon.Request, services: Services, server_id: str) -> Expected | None:
    """Return the state that a sign must still have for a command to be carried out; None without If-Match.

    Raises NotSigned, and Changed when the sign is not in the state that the client has looked at.
    """
    wanted = req.get_header("If-Match")
    if wanted is None:
        return None
    with services.projections.reading() as tables:
        row = services.projections.signs.one(tables, server_id)
    if row is None:
        raise NotSigned
    current = tag(row, services.clock())
    tags = [one for one in req.if_match or () if one == "*" or not one.is_weak]
    if not any(one == "*" or one.partition(".")[0] == current for one in tags):
        raise Changed
    verdict = row.verdict
    return Expected(
        row.sign_id, row.ordered, row.sealed, verdict.findings, verdict.fingerprint, row.binding.recorded
    )


def _digest(seen: object) -> str:
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:SIZE]
