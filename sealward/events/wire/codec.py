"""The wire form of events, the same in the log and for subscribers: stable topics, versions, upcasting."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.error import SealwardError
from sealward.events import enforcement, node, sign, typed, values
from sealward.events.base import Event, Recorded
from sealward.events.findings.shown import shown
from sealward.events.late import late_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.base import Stored
    from sealward.events.comparison.measurement import Finding
    from sealward.events.policy import Policy, ServerPolicy

    Fields = dict[str, Any]
    Upcast = Callable[[Fields], Fields]

EVENTS: dict[str, type[Event]] = {
    found.topic: found
    for module in (sign, node, enforcement)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, Event) and "topic" in vars(found)
}
"""The event class of each topic: each class with a topic in the modules of events."""

UPCASTS: dict[tuple[str, int], Upcast] = {}
"""(topic, version) → the function that turns fields of that version into fields of the next version."""


class EventRefused(SealwardError, ValueError):
    """The bytes are no event that this version of Sealward knows."""

    code = "event.refused"


class EventFromNewerVersion(EventRefused):
    """The event was written by a newer version of Sealward: upgrade this process before it goes on."""

    code = "event.newer-version"


MOST: Final = 16 * 1024 * 1024
"""Largest event in bytes: several times the largest report, and a fraction of the limits of databases and
broker."""


def write(event: Event) -> bytes:
    """Return the bytes to append of an event whose fields are all of their types. Raises Unfit."""
    values.check(event)
    state = encode(event)
    if len(state) > MOST:
        raise values.Unfit(f"must have at most {MOST} bytes", event.topic)
    return state


def encode(event: Event) -> bytes:
    """Return the event as canonical JSON (sorted keys) with its `version`; the topic travels beside it.

    A field that was added later (`late`) and is None is left out, so the bytes are the same as before.
    """
    kind: Any = type(event)
    return msgspec.json.encode(_wire_form(kind).of(event), order="sorted")


class _WireForm:
    """How the events of a class become a struct that msgspec encodes in one pass.

    The struct has the fields of the event, and `version`. A field that is UNSET is not written.
    """

    def __init__(self, kind: type[Event]) -> None:
        names = sorted((*(one.name for one in dataclasses.fields(kind)), "version"))
        self._struct = msgspec.defstruct(kind.__name__, names)
        self._values = operator.attrgetter(*names)
        late = late_fields(kind)
        self._late = [number for number, name in enumerate(names) if name in late]
        self._policy = names.index("policy") if "policy" in names else None
        self._findings = names.index("findings") if "findings" in names else None

    def of(self, event: Event) -> msgspec.Struct:
        """Return an event as that struct."""
        fields = list(self._values(event))
        for number in self._late:
            if fields[number] is None:
                fields[number] = msgspec.UNSET
        if self._policy is not None:
            fields[self._policy] = _policy(fields[self._policy])
        if self._findings is not None:
            fields[self._findings] = [_finding(one) for one in fields[self._findings]]
        return self._struct(*fields)


@functools.cache
def _wire_form(kind: type[Event]) -> _WireForm:
    return _WireForm(kind)


def _policy(policy: Policy | ServerPolicy) -> Fields:
    """Return the fields of a policy. A later field is left out when its value is the one of before."""
    fields: Fields = msgspec.to_builtins(policy)
    usual = msgspec.to_builtins(late_fields(type(policy))).items()
    return {name: value for name, value in fields.items() if (name, value) not in usual}


def _finding(finding: Finding) -> msgspec.Struct:
    """Return a finding as it is written: with class and sentence, or as findings without a code were."""
    if finding.code is not None:
        return shown(finding)
    return _Uncoded(finding.section, finding.xpath, finding.signed, finding.found, finding.form)


class _Uncoded(msgspec.Struct, frozen=True):
    """A finding of an event of before findings had codes."""

    section: str
    xpath: str
    signed: str | None
    found: str | None
    form: str


def decode(topic: str, state: bytes, upcasts: dict[tuple[str, int], Upcast] | None = None) -> Event:
    """Return the event of a topic and its bytes, brought to the current version.

    Raises EventFromNewerVersion and EventRefused.
    """
    if topic not in EVENTS:
        raise EventRefused(f"{topic!r}: unknown topic")
    try:
        if _VERSION.decode(state).version == EVENTS[topic].version:
            return typed.decode(state, EVENTS[topic])
        fields = typed.decode(state, dict[str, Any])
        fields = _upcast(topic, fields, UPCASTS if upcasts is None else upcasts)
        return typed.convert(fields, EVENTS[topic])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as unreadable:
        raise EventRefused(f"{topic}: {unreadable}") from unreadable


def read(stored: Stored) -> Recorded:
    """Return the event of an entry of the log. Raises EventFromNewerVersion and EventRefused."""
    event = decode(stored.topic, stored.state)
    return Recorded(stored.position, stored.stream, stored.version, event, stored.state)


class _Versioned(msgspec.Struct):
    """The version of an event's shape, read before its other fields."""

    version: int = 0


_VERSION: Final = typed.decoder(_Versioned)


def _upcast(topic: str, fields: Fields, upcasts: dict[tuple[str, int], Upcast]) -> Fields:
    current = EVENTS[topic].version
    version = fields.pop("version", None)
    if not isinstance(version, int) or version < 1:
        raise EventRefused(f"{topic}: version is missing")
    if version > current:
        raise EventFromNewerVersion(f"{topic}: version {version}, known up to {current}")
    for step in range(version, current):
        fields = upcasts[topic, step](fields)
    return fields
