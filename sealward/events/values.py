"""The types of every value that comes from outside, and the check that a value is of its type.

A type is an annotation: `Hostname = Annotated[str, Text(...)]`. `check` reads the annotations of a dataclass
or msgspec Struct once and compiles them. It is called where something comes in (reports, orders, bodies of
HTTP requests) and once more before an event is appended, so that the log holds nothing that PostgreSQL,
SQLite, AMQP, JSON, a CloudEvent or a line of a log cannot carry. Reading the log does not check: what older
versions wrote stays readable.

A field without a rule of its own has that of its bare type (`DEFAULTS`), so that no field is without bounds.
msgspec ignores these rules; what it enforces by itself (types, names of fields) it enforces before.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from sealward.characters import CONTROL
from sealward.error import SealwardError
from sealward.events import ranges
from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import Finding, Measurement
from sealward.events.policy import Policy, ServerPolicy

Check = Callable[[Any], None]

BIGGEST: Final = 2**63 - 1
"""The largest number of a BIGINT, of SQLite's INTEGER and of AMQP's signed 64 bits."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""Stands for no time at all, in fields that say so."""
DEEPEST: Final = 8
"""Levels of a JSON value of any shape."""
NOTHING: Final = timedelta(0)


class Unfit(SealwardError, ValueError):
    """A value is not of its type."""

    code = "value.unfit"

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path.lstrip('.') or 'value'}: {why}")
        self.why = why
        self.path = path

    def inside(self, where: str) -> Unfit:
        """Return the same of a value that is at `where` in a larger one."""
        return Unfit(self.why, f"{where}{self.path}")


SHORT: Final = 100
"""Characters of a text that is looked at only once while it is remembered."""
REMEMBERED: Final = 4096
"""Short texts that each rule remembers as fit: at most 400 KB."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most `most` bytes of UTF-8; without a `pattern`, one line without control characters.

    `pattern` is matched against all of the text. `means` completes the sentence "must be ...".
    """

    most: int
    pattern: str | None = None
    means: str = "one line of text without control characters"

    @property
    def expression(self) -> str:
        """Return the pattern that holds."""
        return self.pattern if self.pattern is not None else f"[^{CONTROL}]*"

    def check(self) -> Check:
        """Return what raises Unfit for another value."""
        match = re.compile(self.expression, re.DOTALL).fullmatch
        most, why = self.most, f"must be {self.means}, at most {self.most} bytes"
        is_line = self.pattern is None
        fit: set[str] = set()

        def check(value: Any) -> None:  # noqa: ANN401 - it is what is checked
            if type(value) is str and value in fit:
                return
            if not isinstance(value, str) or len(value) > most:
                raise Unfit(why)
            if value.isascii():
                if not value.isprintable() if is_line else match(value) is None:
                    raise Unfit(why)
            elif match(value) is None or len(value.encode()) > most:
                raise Unfit(why)
            if len(value) <= SHORT:
                _remember(fit, value)

        FIT[check] = fit
        return check


FIT: Final[dict[Check, set[str]]] = {}
"""The short texts that a check has found fit: looked at before the check is called."""
NONE_FIT: Final[frozenset[str]] = frozenset()


def _remember(fit: set[str], text: str) -> None:
    """Note a text that is fit: most texts come again, when their event is appended or from the same node."""
    if len(fit) >= REMEMBERED:
        fit.clear()
    fit.add(text)


@dataclass(frozen=True, slots=True)
class Spans(Text):
    """Ascending ranges of ids, as `ranges` writes them."""

    def check(self) -> Check:
        """Return what raises Unfit for another value."""
        looks_like_ranges = Text.check(self)

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            looks_like_ranges(value)
            try:
                ranges.parse(value)
            except ranges.RangesRefused as refused:
                raise Unfit("must be ascending ranges of ids") from refused

        return check


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, which are allowed themselves."""

    least: int = 0
    most: int = BIGGEST

    def check(self) -> Check:
        """Return what raises Unfit for another value."""
        least, most = self.least, self.most

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            if type(value) is not int or not least <= value <= most:
                raise Unfit(f"must be a whole number from {least} to {most}")

        return check


@dataclass(frozen=True, slots=True)
class Real:
    """A finite number within bounds."""

    least: float = -1e15
    most: float = 1e15

    def check(self) -> Check:
        """Return what raises Unfit for another value."""

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            is_number = type(value) in (float, int)
            if not is_number or not math.isfinite(value) or not self.least <= value <= self.most:
                raise Unfit(f"must be a finite number from {self.least:g} to {self.most:g}")

        return check


@dataclass(frozen=True, slots=True)
class Time:
    """A time in UTC from EARLIEST to LATEST. `or_never` allows NEVER, `any_zone` offsets other than UTC's."""

    or_never: bool = False
    any_zone: bool = False

    def check(self) -> Check:
        """Return what raises Unfit for another value."""
        or_never, any_zone = self.or_never, self.any_zone

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            if not isinstance(value, datetime) or value.tzinfo is None:
                raise Unfit("must be a time with its zone")
            if value.tzinfo is not UTC and not any_zone and value.utcoffset() != NOTHING:
                raise Unfit("must be a time in UTC")
            if not EARLIEST.year <= value.year < LATEST.year and not (or_never and value == NEVER):
                raise Unfit(f"must be a time from {EARLIEST.year} on and before {LATEST.year}")

        return check


@dataclass(frozen=True, slots=True)
class Entries:
    """A tuple, set or mapping with at most so many entries; each has a type of its own."""

    most: int


@dataclass(frozen=True, slots=True)
class ReadLater:
    """A JSON value of which nothing counts but what its own reader takes from it, and checks."""

    def check(self) -> Check:
        """Return what accepts everything."""
        return _anything


Rule = Text | Whole | Real | Time | Entries | ReadLater

MANY: Final = 20_000
"""Entries of whatever says nothing else. A node reports all its servers at once, and no node runs so many."""
DEFAULTS: Final[Mapping[type, Text | Whole | Real | Time]] = {
    str: Text(1024),
    int: Whole(),
    float: Real(),
    datetime: Time(),
}

_HEX: Final = "[0-9a-f]"
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

Line = Annotated[str, Text(1024)]
"""What people read: a name, a reason in words."""
ServerId = Annotated[
    str, Text(36, f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", "a UUID in lower case with hyphens")
]
RFC1123: Final = rf"{_LABEL}(?:\.{_LABEL})*"
"""https://www.rfc-editor.org/rfc/rfc1123#section-2.1: labels of letters, digits and hyphens."""
MOST_OF_HOSTNAME: Final = 238
"""A node's inbox, `sealward.reports.` and its hostname, has a name that AMQP carries: 255 bytes."""
Hostname = Annotated[str, Text(MOST_OF_HOSTNAME, RFC1123, "a hostname as RFC 1123 has it")]
InstanceName = Annotated[str, Text(255)]
"""libvirt names a file after each domain: no longer name could have one."""
TaskId = Annotated[str, Text(155, "[!-.0-~]+", "visible ASCII without a slash")]
"""What Celery's result table holds; AMQP's correlation id would hold 255 bytes."""
Actor = Annotated[str, Text(1100)]
"""`user:` and a name of Keystone's, which has 255 characters at most, or `node:` and a hostname."""
RequestId = Annotated[str, Text(255, "[!-~]+", "visible ASCII")]
Word = Annotated[str, Text(64, "[!-~]+", "visible ASCII")]
"""An id that a node makes, a section, a profile."""
Nonce = Annotated[str, Text(64, "[!-~]*", "visible ASCII")]
Code = Annotated[str, Text(64, "[a-z0-9][a-z0-9._:-]*", "a code: lower-case letters, digits, . _ : -")]
Digest = Annotated[str, Text(64, f"{_HEX}{{64}}", "SHA-256 in hexadecimal")]
Path = Annotated[str, Text(4096)]
"""Linux's PATH_MAX."""
FileFact = Annotated[str, Text(4200)]
"""The root of a file's content, or what else is there: for a link also where it points."""
PublicKey = Annotated[str, Text(4096, "[\r\n -~]+", "a key in PEM form")]
Pem = Annotated[
    str,
    Text(
        1024,
        r"-----BEGIN PUBLIC KEY-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n){1,10}-----END PUBLIC KEY-----\s{0,2}",
        "exactly one public key in PEM form",
    ),
]
"""What a node or an administrator may bring; the log keeps `PublicKey`, which carries the same."""
Ranges = Annotated[
    str,
    Spans(64 * 1024, r"(?:[0-9]{1,18}(?:-[0-9]{1,18})?(?:,[0-9]{1,18}(?:-[0-9]{1,18})?)*)?", "ranges of ids"),
]
KeyId = Annotated[str, Text(255, "[!-~]*", "visible ASCII")]
"""Only a hint which key has signed, and signed by nobody itself."""
Id = Annotated[int, Whole()]
Generation = Annotated[int, Whole(0, 2**31 - 1)]
"""INTEGER in the rows."""
Count = Annotated[int, Whole(0, 2**53 - 1)]
"""What every reader of JSON takes for a whole number (RFC 8259, section 6)."""
Seconds = Annotated[float, Real(0.0, 366 * 86400.0)]
OrNever = Annotated[datetime, msgspec.Meta(tz=True), Time(or_never=True)]

Sections = dict[Word, Annotated[str, Text(128, "[!-~]*", "visible ASCII")]]
Slot = Annotated[str, Text(160, "[!-~]*", "visible ASCII")]
"""Where a file stands in a listing; empty for all files."""
BESIDE: Final[Mapping[type, Mapping[str, Any]]] = {
    Finding: {
        "section": Word,
        "xpath": Annotated[str, Text(8192)],
        "signed": FileFact | None,
        "found": FileFact | None,
        "form": Word,
    },
    Measurement: {
        "profile": Word,
        "sections": Sections,
        "live": Sections,
        "hypervisor": Annotated[str, Text(128)],
        "host_bound": Sections,
        "files": dict[typing.Literal["config", "live"], Listing],
    },
    Listing: {
        "read": dict[Slot, Annotated[str, Text(128, "[!-~]*", "visible ASCII")]],
        "unread": dict[Slot, Code],
    },
    Policy: {"grace": Seconds},
    ServerPolicy: {"grace": Seconds | None},
}
"""Rules of classes that the start gate loads: it has no time to load this module and msgspec as well."""


def check(value: object) -> None:
    """Make sure that all fields of a dataclass or Struct are of their types. Raises Unfit."""
    kind: Any = type(value)
    checker(kind)(value)


@functools.cache
def checker(kind: Any) -> Check:  # noqa: ANN401 - any annotation
    """Return what raises Unfit for a value that is not of that type."""
    rule, bare = taken_apart(kind)
    if isinstance(rule, Entries):
        return _composed(bare, rule.most)
    return _composed(bare, MANY) if rule is None else rule.check()


def taken_apart(kind: Any) -> tuple[Rule | None, Any]:  # noqa: ANN401 - as above
    """Return the rule that an annotation has, if any, and the type that it is about."""
    if typing.get_origin(kind) is not Annotated:
        return DEFAULTS.get(kind), kind
    bare, *more = typing.get_args(kind)
    return next((one for one in more if isinstance(one, Rule)), DEFAULTS.get(bare)), bare


def _composed(kind: Any, most: int) -> Check:  # noqa: ANN401 - as above
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_structured(kind):
        return _fields(kind)
    if origin in (types.UnionType, typing.Union):
        return _either(arguments)
    if origin in (tuple, frozenset, list, set):
        is_row = origin is tuple and arguments[-1] is not Ellipsis
        return _row(tuple(map(checker, arguments))) if is_row else _many(checker(arguments[0]), most)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(checker(arguments[0]), checker(arguments[1]), most)
    return _checked_by_itself(kind)


def _checked_by_itself(kind: Any) -> Check:  # noqa: ANN401 - as above
    """Return the check of a value whose type alone bounds it, or of a JSON value of any shape."""
    if kind in (Any, object):
        return _json
    if kind in (bool, bytes, types.NoneType, msgspec.Raw):
        return _anything
    if typing.get_origin(kind) is typing.Literal:
        return _choice(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice(tuple(kind))
    raise TypeError(f"{kind}: no rule for such values")


def _choice(choices: tuple[Any, ...]) -> Check:
    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if value not in choices:
            raise Unfit(f"must be one of {', '.join(map(str, choices))}")

    return check


def is_structured(kind: Any) -> bool:  # noqa: ANN401 - as above
    """Say whether values of a type have fields."""
    return dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def fields_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a class
    """Return the annotations of a dataclass or Struct by name of field."""
    names = (
        [one.name for one in dataclasses.fields(kind)]
        if dataclasses.is_dataclass(kind)
        else list(kind.__struct_fields__)
    )
    hints = typing.get_type_hints(kind, include_extras=True)
    beside = BESIDE.get(kind, {})
    return {name: beside.get(name, hints[name]) for name in names}


def _fields(kind: Any) -> Check:  # noqa: ANN401 - as above
    known = [(name, checker(hint)) for name, hint in fields_of(kind).items()]
    checks = [(name, FIT.get(one, NONE_FIT), one) for name, one in known if one is not _anything]

    def check(value: Any) -> None:  # noqa: ANN401 - as above
        for name, fit, one in checks:
            entry = getattr(value, name)
            if type(entry) is str and entry in fit:
                continue
            try:
                one(entry)
            except Unfit as unfit:
                raise unfit.inside(f".{name}") from None

    return check


def _either(kinds: tuple[Any, ...]) -> Check:
    """Return the check of a union: None, or one of classes that a value names by its own."""
    others = [one for one in kinds if one is not types.NoneType]
    if len(others) > 1:
        return _of_its_class
    inner = checker(others[0])
    if inner is _anything:
        return _anything

    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if value is not None:
            inner(value)

    if inner in FIT:
        FIT[check] = FIT[inner]
    return check


def _of_its_class(value: Any) -> None:  # noqa: ANN401 - as above
    if value is not None:
        check(value)


def _row(checks: tuple[Check, ...]) -> Check:
    def check(value: Any) -> None:  # noqa: ANN401 - as above
        try:
            for one, entry in zip(checks, value, strict=True):
                one(entry)
        except Unfit as unfit:
            raise unfit.inside("[*]") from None

    return check


def _many(inner: Check, most: int) -> Check:
    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if len(value) > most:
            raise Unfit(f"must have at most {most} entries")
        try:
            for entry in value:
                inner(entry)
        except Unfit as unfit:
            raise unfit.inside("[*]") from None

    return check


def _mapping(of_key: Check, of_value: Check, most: int) -> Check:
    fit_keys, fit = FIT.get(of_key, NONE_FIT), FIT.get(of_value, NONE_FIT)

    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if len(value) > most:
            raise Unfit(f"must have at most {most} entries")
        for key, entry in value.items():
            if type(entry) is str and type(key) is str and key in fit_keys and entry in fit:
                continue
            try:
                of_key(key)
                of_value(entry)
            except Unfit as unfit:
                raise unfit.inside(".*") from None

    return check


def _anything(value: Any) -> None:  # noqa: ANN401 - as above
    """Accept what its class or msgspec has checked."""


_PRINTED: Final = re.compile(f"[^{CONTROL}]*", re.DOTALL).fullmatch
_ASCII: Final = bytes(range(0x20, 0x7F))


def _is_printed(text: str) -> bool:
    """Say whether a text has no control characters; for ASCII ten times as fast as by the expression."""
    if text.isascii():
        return text.isprintable() if len(text) < SHORT else not text.encode().translate(None, _ASCII)
    return _PRINTED(text) is not None


def _json(value: Any, depth: int = 0) -> None:  # noqa: ANN401 - as above
    """Check a JSON value of any shape: its texts, its numbers, its depth. Its size is its event's."""
    if depth > DEEPEST:
        raise Unfit(f"must not be deeper than {DEEPEST} levels")
    if isinstance(value, str):
        if not _is_printed(value):
            raise Unfit("must have no control characters")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _json(key, depth + 1)
            if type(entry) is not str or not _is_printed(entry):
                _json(entry, depth + 1)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            _json(entry, depth + 1)
    elif isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= BIGGEST):
        raise Unfit("must have no number beyond 64 bits")
