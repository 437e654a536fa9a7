"""Parameters of paths and queries: reading and description. An ambiguous value is refused."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sealward.events.tlog.refusals import TileRefused
from sealward.events.tlog.tiles import PATH as TILE_PATH
from sealward.events.tlog.tiles import tile_at
from sealward.http.auth.access import PROOF, Rule
from sealward.http.operation.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import falcon

MAX_DIGITS: Final = 18
"""Digits of a number that fits into a BIGINT of every database."""
WORD: Final = re.compile(r"[!-.0-~]{1,255}")
LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,255}")
CANONICAL: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UUID_LENGTHS: Final = frozenset((32, 36))

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Parameter(Generic[Value]):
    """One parameter. `read` makes its value from its text and its name, or raises Problem 400."""

    name: str
    read: Callable[[str, str], Value]
    schema: Mapping[str, Any]
    means: str
    refuses: tuple[str, ...] = ()
    """The reasons of the errors that `read` raises."""
    rule: Rule | None = None
    """The access rule that a request with this parameter needs, beside that of its call."""


class Query:
    """The query string: each parameter once, all of them known. `$offset` is `offset`, as in the seed."""

    def __init__(self, req: falcon.Request, allowed: Collection[Parameter[Any]]) -> None:
        known = {one.name: one for one in allowed}
        self._values: dict[str, Any] = dict.fromkeys(known)
        seen: set[str] = set()
        for name, text in req.params.items():
            bare = name.removeprefix("$")
            if not bare:
                continue  # a shell makes this of `?$offset=0`
            if bare not in known:
                names = ", ".join(sorted(known)) or "none"
                message = f"{bare[:40]!r} is no parameter here; known: {names}."
                raise Problem(400, "parameter.unknown", message)
            if bare in seen or not isinstance(text, str):
                raise Problem(400, "parameter.twice", f"{bare} is given more than once.")
            seen.add(bare)
            self._values[bare] = known[bare].read(text, bare)

    def get(self, parameter: Parameter[Value]) -> Value | None:
        """Return the value of a parameter; None where it is not given."""
        value: Value | None = self._values[parameter.name]
        return value


def canonical_uuid(text: str, name: str = "server_id") -> str:
    """Return a UUID in its canonical form. Raises Problem 400."""
    if CANONICAL.fullmatch(text):
        return text
    try:
        if len(text) in UUID_LENGTHS:
            return str(uuid.UUID(text))
    except ValueError:
        pass
    raise Problem(400, "server.bad-uuid", f"{name} must be a UUID.")


def number(text: str, name: str) -> int:
    """Return a non-negative integer. Raises Problem 400."""
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return int(text)
    raise Problem(400, "parameter.bad-number", f"{name} must be a whole number, 0 or more.")


def moment(text: str, name: str) -> datetime:
    """Return a time in UTC. Raises Problem 400."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that nobody escaped is a space
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Problem(400, "parameter.bad-time", f"{name} must be a time with its zone, as 2026-01-02T03:04:05Z.")


def whole(name: str, means: str) -> Parameter[int]:
    """Return a parameter that is an integer."""
    schema = {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1}
    return Parameter(name, number, schema, means, ("parameter.bad-number",))


def time(name: str, means: str) -> Parameter[datetime]:
    """Return a parameter that is a time."""
    schema = {"type": "string", "format": "date-time"}
    return Parameter(name, moment, schema, means, ("parameter.bad-time",))


def server(name: str, means: str) -> Parameter[str]:
    """Return a parameter that is a server's UUID."""
    schema = {"type": "string", "format": "uuid"}
    return Parameter(name, canonical_uuid, schema, means, ("server.bad-uuid",))


def choice(name: str, choices: Collection[str], means: str) -> Parameter[str]:
    """Return a parameter whose value must be a word of a list."""

    def read(text: str, name: str) -> str:
        if text in choices:
            return text
        raise Problem(400, "parameter.bad-choice", f"{name} must be one of {', '.join(sorted(choices))}.")

    schema = {"type": "string", "enum": sorted(choices)}
    return Parameter(name, read, schema, means, ("parameter.bad-choice",))


def choices(name: str, known: Collection[str], means: str) -> Parameter[frozenset[str]]:
    """Return a parameter whose value is a list of words, separated by commas, each of a list."""

    def read(text: str, name: str) -> frozenset[str]:
        if (words := frozenset(text.split(","))) <= frozenset(known):
            return words
        message = f"{name} must be one or more of {', '.join(sorted(known))}, separated by commas."
        raise Problem(400, "parameter.bad-choice", message)

    either = "|".join(sorted(map(re.escape, known)))
    schema = {"type": "string", "pattern": f"^(?:{either})(?:,(?:{either}))*$"}
    return Parameter(name, read, schema, means, ("parameter.bad-choice",))


def line(name: str, means: str) -> Parameter[str]:
    """Return a parameter that is a line of text: at most 255 characters, none of them a control character."""

    def read(text: str, name: str) -> str:
        if LINE.fullmatch(text):
            return text
        raise Problem(400, "parameter.bad-word", f"{name} has characters that it never has.")

    return Parameter(
        name, read, {"type": "string", "pattern": f"^{LINE.pattern}$"}, means, ("parameter.bad-word",)
    )


def word(name: str, means: str) -> Parameter[str]:
    """Return a parameter that is a word: visible ASCII without a slash, as in Celery clients' task ids."""

    def read(text: str, name: str) -> str:
        if WORD.fullmatch(text):
            return text
        raise Problem(400, "parameter.bad-word", f"{name} has characters that it never has.")

    return Parameter(
        name, read, {"type": "string", "pattern": f"^{WORD.pattern}$"}, means, ("parameter.bad-word",)
    )


def flag(name: str, means: str, rule: Rule) -> Parameter[str]:
    """Return a parameter that is on when it is present, without a value or as `true`."""
    return replace(choice(name, ("", "true"), means), rule=rule)


OFFSET: Final = whole("offset", "How many to pass over.")
LIMIT: Final = whole("limit", "How many to show at most; without it, all. The Link header has the next page.")
NODE_ID: Final = whole("node_id", "Only those of this node.")
AT: Final = replace(
    time("at", "Answer as it was known then."),
    rule=Rule("sign:past", "Show what was known of signs at a time in the past.", PROOF),
)


def tile_path(text: str, name: str) -> str:
    """Return the path of a tile. Raises Problem 400."""
    try:
        tile_at(text)
    except TileRefused as refused:
        raise Problem(400, "parameter.bad-tile", f"{name}: {refused}.") from refused
    return text


PATH: Final[dict[str, Parameter[Any]]] = {
    "tile": Parameter(
        "tile",
        tile_path,
        {"type": "string", "pattern": f"^{TILE_PATH.pattern}$"},
        "The tile, as 0/x001/234, 0/x001/234.p/17 or entries/x001/234.",
        ("parameter.bad-tile",),
    ),
    "position": whole("position", "The event, by its position in the log."),
    "server_id": server("server_id", "The server, by its UUID."),
    "node_id": whole("node_id", "The node, by its id."),
    "task_id": word("task_id", "The task, by its id."),
    "webhook_id": word("webhook_id", "The webhook, by its id."),
    "topic": word("topic", "The event's topic, as sign.created."),
}
"""The parameters that path templates may have in braces."""
