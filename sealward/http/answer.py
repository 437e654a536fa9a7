"""How answers are written: JSON in the order given, dates as the seed has them."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING, Any

import falcon
import msgspec

from sealward.events.verdict import NEVER

if TYPE_CHECKING:
    from datetime import datetime


def answer(resp: falcon.Response, content: dict[str, Any]) -> None:
    """Answer with JSON."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(content)


def rfc1123(moment: datetime | None) -> str | None:
    """Return a moment as "Mon, 03 Jun 2024 10:45:36 GMT"; None for never."""
    return None if moment in (None, NEVER) else email.utils.format_datetime(moment, usegmt=True)
