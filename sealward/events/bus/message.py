"""A delivered message, and the exceptions with which the reader of a queue refuses or postpones a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealward.error import SealwardError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    OnMessage = Callable[[bytes, Mapping[str, Any]], None]
    OnBatch = Callable[[Sequence["Delivered"]], Sequence["Poison | None"]]


class Later(SealwardError):
    """The message cannot be processed now, and is to be delivered again."""

    code = "bus.later"


class Poison(SealwardError):
    """The message can never be processed: it goes to the dead letters. `reason` is a stable code."""

    code = "bus.poison"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Dropped(Poison):
    """The sender of the message is unproven: the bus acknowledges the message and keeps no part of it."""

    code = "bus.dropped"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as the broker delivered it.

    `sender` is the broker's user that published the message: RabbitMQ refuses a message whose property
    `user_id` names another user than the connection's (https://www.rabbitmq.com/docs/validated-user-id).
    `sender` is None if the publisher did not set the property, and always on `memory://`.
    The broker sets `redelivered` on a message that it has delivered before.
    `inbox` is the only user of the broker that may write to the inbox from which the message was read. It is
    None for an inbox to which several users may write.
    """

    body: bytes
    headers: Mapping[str, Any]
    sender: str | None = None
    redelivered: bool = False
    inbox: str | None = None


def one_by_one(on_message: OnMessage) -> OnBatch:
    """Return a reader of batches of one message that calls `on_message` for the message."""

    def on_batch(batch: Sequence[Delivered]) -> list[Poison | None]:
        (message,) = batch
        try:
            on_message(message.body, message.headers)
        except Poison as poison:
            return [poison]
        return [None]

    return on_batch


def delivered(message: Any) -> Delivered:  # noqa: ANN401 - kombu has no types
    """Return a message of kombu's as the type that readers of the bus take."""
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    return Delivered(
        body,
        message.headers,
        message.properties.get("user_id"),
        bool(message.delivery_info.get("redelivered")),
    )
