"""What a request brings: a JSON body, ids in the path, paging in the query. What is not clear is refused."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sealward.http.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    import falcon

MAX_BODY: Final = 64 * 1024
MAX_NUMBER: Final = 2**63 - 1
UUID_LENGTHS: Final = frozenset((32, 36))

Body = TypeVar("Body", bound=msgspec.Struct)


def body(req: falcon.Request, kind: type[Body]) -> Body:
    """Return the JSON body, also of a GET. Raises Problem: 400, 413, 415."""
    _json_only(req)
    if (req.content_length or 0) > MAX_BODY:
        raise Problem(413, "body.too-large", f"A body may have {MAX_BODY} bytes.")
    raw = req.bounded_stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise Problem(413, "body.too-large", f"A body may have {MAX_BODY} bytes.")
    if not raw:
        raise Problem(400, "body.missing", f"Send a JSON object with {', '.join(kind.__struct_fields__)}.")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
        raise Problem(400, "body.malformed", f"The body is not as it must be: {refused}.") from refused


def canonical_uuid(text: str) -> str:
    """Return a server's UUID in its canonical form. Raises Problem 400."""
    try:
        if len(text) in UUID_LENGTHS:
            return str(uuid.UUID(text))
    except ValueError:
        pass
    raise Problem(400, "server.bad-uuid", "server_id must be a UUID.")


def number(text: str, name: str) -> int:
    """Return a whole number that is not negative. Raises Problem 400."""
    if text.isascii() and text.isdigit() and len(text) < len(str(MAX_NUMBER)):
        return int(text)
    raise Problem(400, "parameter.bad-number", f"{name} must be a whole number, 0 or more.")


class Query:
    """The query string: each parameter once, all of them known. `$offset` is `offset`."""

    def __init__(self, req: falcon.Request, allowed: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in req.params.items():
            bare = name.removeprefix("$")
            if not bare:
                continue  # what is left of `?$offset=0` when a shell has had its way with it
            if bare not in allowed:
                known = ", ".join(sorted(allowed)) or "none"
                raise Problem(
                    400, "parameter.unknown", f"{bare[:40]!r} is no parameter here; known: {known}."
                )
            if bare in self._values or not isinstance(value, str):
                raise Problem(400, "parameter.twice", f"{bare} is given more than once.")
            self._values[bare] = value

    def number(self, name: str) -> int | None:
        """Return a number, None when it is not given. Raises Problem 400."""
        text = self._values.get(name)
        return None if text is None else number(text, name)

    def text(self, name: str) -> str | None:
        """Return a text, None when it is not given."""
        return self._values.get(name)

    def moment(self, name: str) -> datetime | None:
        """Return a time, None when it is not given. Raises Problem 400."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that nobody escaped is a space
        except ValueError:
            found = datetime.min  # noqa: DTZ901 - naive, as refused below
        if found.tzinfo is None:
            message = f"{name} must be a time with its zone, as 2026-01-02T03:04:05Z."
            raise Problem(400, "parameter.bad-time", message)
        return found

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Return one of the choices, None when it is not given. Raises Problem 400."""
        text = self._values.get(name)
        if text is None or text in choices:
            return text
        raise Problem(400, "parameter.bad-choice", f"{name} must be one of {', '.join(sorted(choices))}.")


def _json_only(req: falcon.Request) -> None:
    kind = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "body.not-json", "Send the body as application/json.")
