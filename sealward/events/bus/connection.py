"""Connections to the broker through kombu, and the exceptions for a broker that cannot be reached."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import kombu
import kombu.exceptions

from sealward.error import SealwardError
from sealward.events.bus.properties import frames_with_readable_properties
from sealward.events.bus.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Iterator

POLLING_INTERVAL: Final = 0.005
"""Seconds between two looks into a queue of `memory://`. A real broker pushes messages."""
HEARTBEAT: Final = 10
"""Seconds between two AMQP heartbeats."""
CONNECT_TIMEOUT: Final = 3
"""Seconds until an attempt to connect is given up."""


class BusUnavailable(SealwardError):
    """The broker does not answer now. The message was not sent, or it is unknown whether it was sent."""

    code = "bus.unavailable"
    part: Final = "the broker"
    """The name under which `absences` knows that it is away."""


class InboxClosed(BusUnavailable):
    """The broker has no inbox of that name, or this user of the broker may not write to the inbox."""

    code = "bus.inbox-closed"


def connect(url: str, tls: Tls | None = None, **options: object) -> kombu.Connection:
    """Return a connection that is not opened yet. `options` are options of kombu's transport."""
    in_memory = url.startswith("memory:")
    own: dict[str, object] = {"polling_interval": POLLING_INTERVAL}
    if not in_memory:
        own = {"confirm_publish": True, "frame_handler": frames_with_readable_properties}
    return kombu.Connection(
        url,
        transport_options=own | options,
        heartbeat=0 if in_memory else HEARTBEAT,
        connect_timeout=CONNECT_TIMEOUT,
        ssl=(tls or Tls()).options() if url.startswith("amqps:") else False,
    )


@contextlib.contextmanager
def reachable(connection: kombu.Connection) -> Iterator[None]:
    """Raise BusUnavailable in place of kombu's exceptions for a broker that is away or refuses."""
    errors = (*connection.connection_errors, *connection.channel_errors)
    try:
        yield
    except (kombu.exceptions.OperationalError, *errors) as away:
        why = str(away) or type(away).__name__
        place = f"{connection.hostname}:{connection.port} (SEALWARD_BROKER_URL)"
        raise BusUnavailable(why if connection.hostname is None else f"{place}: {why}") from away


def as_sender(user: str | None) -> dict[str, str]:
    """Return the property `user_id` of a message. RabbitMQ verifies it; on `memory://` there are no users."""
    return {"user_id": user} if user else {}
