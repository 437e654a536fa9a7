"""What stands beside the body of a message at RabbitMQ: it stops nobody who reads the message.

A publisher chooses the properties, and RabbitMQ looks at few of them (seen on 3.10.8). amqp (5.4) raises for
texts that are not UTF-8, for years that no calendar has and for tables nested too deep, in the midst of its
reading: the connection is lost, and the broker delivers the same message again. kombu (5.7) unpacks a body
whose header `compression` says so before anybody looks at it, to whatever size, and raises where it cannot.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any, Final

import amqp
from amqp.method_framing import frame_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    Frame = tuple[int, int, bytes]

HEADER: Final = 2
"""The type of the frame that has a message's properties (AMQP 0-9-1, section 4.2.6)."""
BEFORE: Final = 12
"""Bytes of it before the properties: class, weight and size of the body."""
NONE: Final = pack(">H", 0)
"""The flags of no property at all."""
DEEPER: Final = 8
"""Calls by which a trial stands deeper in Python's stack than the reading that follows it."""
PACKED: Final = "compression"
"""The header that has kombu unpack the body."""


def frames_with_readable_properties(connection: Any, callback: Any) -> Callable[[Frame], bool]:  # noqa: ANN401 - amqp has no types
    """Return what reads the frames of a connection; a message whose properties are unfit comes without any.

    Without a `user_id` the message is nobody's word. `amqp.Connection` takes this as its `frame_handler`.
    """
    read: Callable[[Frame], bool] = frame_handler(connection, callback)

    def on_frame(frame: Frame) -> bool:
        kind, channel, buffer = frame
        if kind == HEADER and not _is_fit(buffer, DEEPER):
            frame = (kind, channel, bytes(buffer[:BEFORE]) + NONE)
        return read(frame)

    return on_frame


def _is_fit(buffer: bytes, deeper: int) -> bool:
    """Say whether the properties can be read, and have nobody unpack the body."""
    if deeper:
        return _is_fit(buffer, deeper - 1)
    trial = amqp.Message()
    try:
        trial.inbound_header(buffer)
    except Exception:  # noqa: BLE001 - whatever it is, it would end the connection
        return False
    return PACKED not in trial.properties.get("application_headers", {})
