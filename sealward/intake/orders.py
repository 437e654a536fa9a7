"""Orders of stock Celery clients: `app.send_task("sealward.node_action", kwargs=…)` to `sealward.orders`.

The broker's permissions say which users may write to the exchange `sealward.orders`. Their orders are obeyed.
The message is Celery's task protocol 2: headers `id`, `task`, `expires`, a body of `[args, kwargs, embed]`
(https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2).
"""

from __future__ import annotations

import logging
from datetime import datetime  # noqa: TC003 - the wire form is read off the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from sealward import logs
from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.commands.errors import Rejected
from sealward.events import typed, values
from sealward.events.bus.message import Later, Poison
from sealward.events.store.store import StoreUnavailable
from sealward.events.values import Id, TaskId, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.commands.writer.handler import Handler
    from sealward.intake.order_queries import OrderQueries

log = logging.getLogger(__name__)

INBOX: Final = "orders"
TASK: Final = "sealward.node_action"
ACTOR: Final = "user:celery"


class Headers(msgspec.Struct, frozen=True):
    """The headers of a task message that are used."""

    task: str
    id: TaskId
    expires: Annotated[datetime, Time(any_zone=True)] | None = None


class NodeAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keyword arguments of the task `sealward.node_action`."""

    node_id: Id
    action: Literal["activate", "deactivate"]


class Orders:
    """Carries out orders. `queries` reads the projections."""

    def __init__(self, handler: Handler, queries: OrderQueries, clock: Callable[[], datetime]) -> None:
        self._handler = handler
        self._queries = queries
        self._clock = clock

    def take(self, body: bytes, headers: Mapping[str, Any], client: str | None = None) -> None:
        """Carry out an order, once even if it is delivered again. Raises Poison and Later.

        `client` is the user of the broker whose own inbox the order came by; the log names that client.
        """
        head, action = _read(body, headers)
        actor = ACTOR if client is None else f"{ACTOR}/{client}"
        with logs.about(actor=actor, task_id=head.id):
            self._take(head, action, actor)

    def _take(self, head: Headers, action: NodeAction, actor: str) -> None:
        if head.expires is not None and head.expires <= self._clock():
            log.info("order %s came after its expiry", head.id)
            return
        try:
            if not self._queries.is_known(head.id):
                self._carry_out(head.id, action, actor)
        except StoreUnavailable as away:
            raise Later(str(away)) from away

    def _carry_out(self, task_id: str, action: NodeAction, actor: str) -> None:
        hostname = self._queries.hostname_of(action.node_id)
        if hostname is None:
            raise Poison("node.not-found", f"no node has the id {action.node_id}")
        kind = ask.ActivateNode if action.action == "activate" else ask.DeactivateNode
        try:
            self._handler.handle(
                kind(context=RequestContext(actor=actor, task_id=task_id), hostname=hostname)
            )
        except Rejected as rejected:
            raise Poison(rejected.code, str(rejected)) from rejected


def _read(body: bytes, headers: Mapping[str, Any]) -> tuple[Headers, NodeAction]:
    try:
        head = typed.convert(dict(headers), Headers)
        args, kwargs, _ = typed.decode(body, tuple[list[Any], dict[str, Any], dict[str, Any]])
        given = dict(zip(NodeAction.__struct_fields__, args, strict=False)) | kwargs
        action = typed.convert(given, NodeAction)
        values.check(head)
        values.check(action)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, values.Unfit) as unreadable:
        raise Poison("order.malformed", str(unreadable)) from unreadable
    if head.task != TASK:
        raise Poison("order.unknown-task", f"{head.task!r}; there is {TASK}")
    return head, action
