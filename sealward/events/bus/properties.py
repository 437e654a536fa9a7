"""The properties of a message at RabbitMQ: none of them may stop a process that reads the message.

A publisher chooses the properties, and RabbitMQ looks at few of them (seen on 3.10.8). amqp (5.4) raises for
texts that are not UTF-8, for years that no calendar has and for tables nested too deep, in the midst of its
reading: the connection is lost, and the broker delivers the same message again. A routing key is such a text:
the header `CC` brings a message to a queue that the routing key does not name
(https://www.rabbitmq.com/docs/sender-selected).

amqp decodes a body with the Python codec that `content_encoding` names: `punycode` takes hours for some
megabytes, and other codecs return text that no codec can encode again. kombu (5.7) decompresses a body when
the header `compression` says so, before the receiver sees the message: to any size, and it raises for a body
that it cannot decompress.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any, Final

import amqp
from amqp.method_framing import frame_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    Frame = tuple[int, int, bytes]

METHOD: Final = 1
"""The type of the frame that begins a message (AMQP 0-9-1, section 4.2.4)."""
DELIVERED: Final = pack(">HH", *amqp.spec.Basic.Deliver)
GOTTEN: Final = pack(">HH", *amqp.spec.Basic.GetOk)
"""First bytes of the method frames that deliver a message: to a consumer, and in answer to `basic.get`."""
TAG: Final = 9
"""Bytes of the delivery tag and of the bit `redelivered`."""
HEADER: Final = 2
"""The type of the frame that has a message's properties (AMQP 0-9-1, section 4.2.6)."""
BEFORE: Final = 12
"""Bytes of that frame before the properties: class, weight and size of the body."""
NONE: Final = pack(">H", 0)
"""The flags of no property at all."""
DEEPER: Final = 8
"""The trial reads the properties at a stack that is so many calls deeper. So when the trial does not exceed
Python's limit of recursion, neither does the reading that follows."""
PACKED: Final = "compression"
"""The header that makes kombu decompress the body."""
ENCODINGS: Final = frozenset({"", "binary", "utf-8"})
"""The allowed values of `content_encoding`, in lower case: kombu and Celery write no other values for JSON.
`binary` is no text codec, so amqp does not decode the body. UTF-8 takes time in proportion to the size."""


def frames_with_readable_properties(connection: Any, callback: Any) -> Callable[[Frame], bool]:  # noqa: ANN401 - amqp has no types
    """Return the function that reads the frames of a connection: the `frame_handler` of an `amqp.Connection`.

    A message whose properties are unfit is delivered without properties. It then has no `user_id`, so its
    sender is not proven. A routing key that is not UTF-8 is read as an empty routing key.
    """
    read: Callable[[Frame], bool] = frame_handler(connection, callback)

    def on_frame(frame: Frame) -> bool:
        kind, channel, buffer = frame
        if kind == HEADER and not _is_fit(buffer, DEEPER):
            frame = (kind, channel, bytes(buffer[:BEFORE]) + NONE)
        elif kind == METHOD:
            frame = (kind, channel, _with_readable_key(buffer))
        return read(frame)

    return on_frame


def _with_readable_key(method: bytes) -> bytes:
    """Return a method frame. When it delivers a message whose routing key is not UTF-8, empty the key."""
    name, at = bytes(method[:4]), 4
    if name not in {DELIVERED, GOTTEN}:
        return method
    if name == DELIVERED:
        at += 1 + method[at]  # the consumer's tag
    at += TAG
    at += 1 + method[at]  # the exchange
    end = at + 1 + method[at]
    try:
        bytes(method[at + 1 : end]).decode()
    except UnicodeDecodeError:
        return bytes(method[:at]) + b"\0" + bytes(method[end:])
    return method


def _is_fit(buffer: bytes, deeper: int) -> bool:
    """Say whether the properties can be read, and make no library decompress or recode the body."""
    if deeper:
        return _is_fit(buffer, deeper - 1)
    trial = amqp.Message()
    try:
        trial.inbound_header(buffer)
    except Exception:  # noqa: BLE001 - any error here would end the connection
        return False
    named = trial.properties
    is_recoded = named.get("content_encoding", "").lower() not in ENCODINGS
    return not is_recoded and PACKED not in named.get("application_headers", {})
