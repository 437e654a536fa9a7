"""The request context of the commands that HTTP requests become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.context import RequestContext
from sealward.http.auth.authentication import actor

if TYPE_CHECKING:
    import falcon


def context_of(req: falcon.Request, task_id: str | None = None) -> RequestContext:
    """Return the context of the command that a request becomes; `task_id` is the command's task, if any."""
    return RequestContext(
        actor=actor(req),
        task_id=task_id,
        request_id=req.context.request_id,
        origin=req.context.identity.origin,
        global_request_id=req.context.global_request_id,
    )
