"""The context that a command was made in; OpenStack calls it a request context (oslo.context)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from sealward.events.base import Origin


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """The actor, and the task and the HTTP request for which the actor asks.

    `actor` reads `user:NAME`, `node:HOSTNAME` or `system`. `origin` has the ids of user and project where an
    identity service knows the actor. `global_request_id` is the id that a client gave to several requests.
    """

    actor: str
    task_id: str | None = None
    request_id: str | None = None
    origin: Origin | None = None
    global_request_id: str | None = None


SYSTEM: Final = RequestContext(actor="system")
"""The context of a command that the control plane gives itself."""


def by_node(hostname: str, task_id: str | None = None) -> RequestContext:
    """Return the context of a command that follows from a report of a node."""
    return RequestContext(actor=f"node:{hostname}", task_id=task_id)
