"""Events in CloudEvents, as the formats get them: golden ones, and any that the log can hold."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import strategies
from hypothesis import strategies as st

from sealward.events.base import Stored
from sealward.events.wire import cloudevent, codec
from sealward.events.wire.codec import EVENTS
from sealward.formats import notice

if TYPE_CHECKING:
    from sealward.formats.notice import Notice

GOLDEN = sorted((Path(__file__).parents[1] / "assets" / "events").glob("*.json"))


def told(topic: str, state: bytes) -> Notice:
    """Return an event of the log as a subscriber reads it."""
    stored = Stored(7, uuid.UUID(int=1), 1, topic, state)
    return notice.read(cloudevent.message(stored).body.decode())


def golden(path: Path) -> Notice:
    """Return a golden event."""
    topic = path.name.partition(".v1")[0]
    return told(topic, path.read_bytes())


def changed(path: Path, **fields: object) -> Notice:
    """Return a golden event with other values in some fields."""
    topic = path.name.partition(".v1")[0]
    return told(topic, json.dumps(json.loads(path.read_bytes()) | fields).encode())


ANY = st.sampled_from(sorted(EVENTS)).flatmap(
    lambda topic: strategies.drawn(EVENTS[topic]).map(lambda event: told(topic, codec.encode(event)))
)
"""Any event that the log can hold."""
