r"""ArcSight's Common Event Format, one line an event.

ArcSight Common Event Format (CEF) Implementation Standard, version 26: a header of seven parts between "|",
and an extension of `key=value` pairs between spaces. In the header a backslash and "|" are escaped with a
backslash, in values of the extension a backslash and "=". A value has at most 1,023 bytes.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.formats import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealward.formats.notice import Notice

MOST: Final = 1023
SHOWN: Final = 8
"""Findings whose places a line names: the CloudEvent has all of them."""


def render(notice: Notice) -> str:
    """Return the event as a line without its end."""
    head = (
        "CEF:0",
        "Sealward",
        "Sealward",
        importlib.metadata.version("sealward"),
        notice.topic,
        kinds.kind(notice).title,
        str(kinds.severity(notice).cef),
    )
    extension = " ".join(f"{key}={_value(text)}" for key, text in _extension(notice) if text)
    return f"{'|'.join(map(_header, head))}|{extension}"


def _extension(notice: Notice) -> Iterator[tuple[str, str]]:
    data = notice.data
    yield "rt", str(notice.milliseconds)
    yield "externalId", notice.id
    yield "act", kinds.kind(notice).act
    yield "suser", notice.actor
    yield "dvchost", notice.node
    yield "duid", notice.server_id or ""
    yield "dhost", str(data.get("instance_name") or "")
    yield "outcome", notice.is_valid or str(data.get("outcome") or "")
    yield "reason", ",".join(notice.reasons)
    yield "msg", kinds.sentence(notice)
    yield from _labelled("cs1", "findings", _places(notice))
    yield from _labelled("cs2", "task", str(data.get("task_id") or ""))
    yield from _labelled("cs3", "request", str(data.get("request_id") or ""))
    yield from _labelled("cs4", "source", notice.source)
    yield from _labelled("cn1", "position", str(notice.position))


def _labelled(key: str, label: str, text: str) -> Iterator[tuple[str, str]]:
    if text:
        yield f"{key}Label", label
        yield key, text


def _places(notice: Notice) -> str:
    places = [str(one.get("xpath")) for one in notice.findings]
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(places[:SHOWN]) + more


def _header(text: str) -> str:
    return escaped(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return escaped(text, MOST).replace("\\", "\\\\").replace("=", "\\=")
