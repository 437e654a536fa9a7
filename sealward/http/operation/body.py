"""Reads the body of a request: JSON of a known form. An ambiguous body is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sealward.events import typed, values
from sealward.http.operation.errors import Problem

if TYPE_CHECKING:
    import falcon

MAX_BODY: Final = 64 * 1024

Body = TypeVar("Body", bound=msgspec.Struct)


def body(req: falcon.Request, kind: type[Body]) -> Body:
    """Return the JSON body of a request, also of a GET. Raises Problem: 400, 413, 415."""
    _json_only(req)
    if (req.content_length or 0) > MAX_BODY:
        raise Problem(413, "body.too-large", f"A body may have {MAX_BODY} bytes.")
    raw = req.bounded_stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise Problem(413, "body.too-large", f"A body may have {MAX_BODY} bytes.")
    if not raw:
        raise Problem(400, "body.missing", f"Send a JSON object with {', '.join(kind.__struct_fields__)}.")
    try:
        found = typed.decode(raw, kind)
        values.check(found)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, values.Unfit) as refused:
        raise Problem(400, "body.malformed", f"The body is not as it must be: {refused}.") from refused
    return found


def _json_only(req: falcon.Request) -> None:
    kind = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "body.not-json", "Send the body as application/json.")
