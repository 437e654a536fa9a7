"""How answers are written: JSON with keys in the order of the structs' fields, dates as in the seed."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING, Annotated, Literal

import falcon
import msgspec

from sealward.events.verdict import NEVER

if TYPE_CHECKING:
    from datetime import datetime

Uuid = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
Date = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$",
        examples=["Mon, 03 Jun 2024 10:45:36 GMT"],
    ),
]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Id = Annotated[int, msgspec.Meta(ge=1)]
Position = Annotated[int, msgspec.Meta(ge=0)]
AskedId = Annotated[float, msgspec.Meta(ge=0, le=10**15, multiple_of=1)]
"""An id in a body. JSON Schema takes 2.0 for an integer, which msgspec (0.22) refuses to read as int."""


def answer(resp: falcon.Response, content: msgspec.Struct, *, order: Literal["sorted"] | None = None) -> None:
    """Answer with JSON. `sorted` sorts the keys, as the seed does in lists and after POST and PUT."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(content, order=order)


def rfc1123(moment: datetime | None) -> str | None:
    """Return a moment in the form "Mon, 03 Jun 2024 10:45:36 GMT"; None for never."""
    return None if moment is None or moment == NEVER else date(moment)


def date(moment: datetime) -> str:
    """Return a moment in UTC in the form "Mon, 03 Jun 2024 10:45:36 GMT"."""
    return format_datetime(moment, usegmt=True)
