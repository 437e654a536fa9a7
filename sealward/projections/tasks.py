"""The answers of GET /v1/task: what became of an accepted command, in Celery's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.verdict import IsValid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Event, Recorded
    from sealward.projections.tables import Row, Tables


NAMES: Final[dict[type[Event], str]] = {
    of_sign.SignCreated: "sealward.sign.create",
    of_sign.SignUpdated: "sealward.sign.update",
    of_sign.SignRevoked: "sealward.sign.revoke",
    of_sign.SignValidationRequested: "sealward.sign.validate",
    of_node.NodeActivated: "sealward.node.activate",
    of_node.NodeDeactivated: "sealward.node.deactivate",
}
"""The facts that begin a task, with the task's name."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task: `state` is PENDING, RETRY, SUCCESS or REVOKED (a later order took its place)."""

    task_id: str
    name: str
    state: str
    node_id: int
    server_id: str | None
    result: dict[str, Any] | None
    created_at: datetime
    done_at: datetime | None

    @property
    def action(self) -> str:
        """Return the last word of the name: create, validate, activate and so on."""
        return self.name.rpartition(".")[2]


class Tasks:
    """Derives the rows from the log, and answers from them."""

    name = "tasks"

    def reset(self, tables: Tables) -> None:
        """Begin with no rows."""
        tables.run("tasks.drop")
        tables.run("tasks.create")

    def create(self, tables: Tables) -> None:
        """Make the table where there is none."""
        tables.run("tasks.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        for recorded in batch:
            event = recorded.event
            if type(event) in NAMES:
                _begin(event, tables)
            elif isinstance(event, of_sign.SignValidated) and event.task_id is not None:
                _validated(event, tables)
            elif isinstance(event, of_node.NodeSwept) and event.task_id is not None:
                result = {"node_id": event.node_id, "cause": event.cause, "counts": event.counts}
                _finish(event, result, tables)

    def one(self, tables: Tables, task_id: str) -> TaskRow | None:
        """Return a task."""
        found = tables.one("tasks.one", {"task_id": task_id})
        return _row(found) if found else None

    def waiting(self, tables: Tables, node_id: int) -> list[TaskRow]:
        """Return the tasks that wait for a node, the oldest first."""
        return [_row(found) for found in tables.all("tasks.waiting", {"node_id": node_id})]


def _begin(event: Event, tables: Tables) -> None:
    """Open the task; what it takes the place of is revoked. A revocation is done as soon as it is said."""
    at = event.timestamp.isoformat()
    node_id: int = event.node_id  # type: ignore[attr-defined]  # every fact in NAMES has one
    server_id = getattr(event, "server_id", None)
    if server_id is None:
        tables.run("tasks.revoke-of-node", {"node_id": node_id, "at": at})
    elif not isinstance(event, of_sign.SignValidationRequested):
        tables.run("tasks.revoke-of-server", {"server_id": server_id, "at": at})
    if event.task_id is None:
        return
    done = isinstance(event, of_sign.SignRevoked)
    values = {
        "task_id": event.task_id,
        "name": NAMES[type(event)],
        "state": "SUCCESS" if done else "PENDING",
        "node_id": node_id,
        "server_id": server_id,
        "result": _json({"server_id": server_id}) if done else None,
        "at": at,
        "done_at": at if done else None,
    }
    tables.run("tasks.add", values)


def _validated(event: of_sign.SignValidated, tables: Tables) -> None:
    """Finish the task with the verdict; an order to seal that could not be measured is tried again."""
    result = {"server_id": event.server_id, "is_valid": event.is_valid.value, "reasons": event.reasons}
    if event.is_valid is IsValid.UNKNOWN and event.cause == "sealed":
        tables.run("tasks.retry", {"task_id": event.task_id, "result": _json(result)})
    else:
        _finish(event, result, tables)


def _finish(event: Event, result: dict[str, Any], tables: Tables) -> None:
    values = {
        "task_id": event.task_id,
        "state": "SUCCESS",
        "result": _json(result),
        "at": event.timestamp.isoformat(),
    }
    tables.run("tasks.finish", values)


def _json(result: dict[str, Any]) -> str:
    return msgspec.json.encode(result, order="sorted").decode()


def _row(found: Row) -> TaskRow:
    return TaskRow(
        found["task_id"],
        found["name"],
        found["state"],
        found["node_id"],
        found["server_id"],
        None if found["result"] is None else msgspec.json.decode(found["result"], type=dict[str, Any]),
        datetime.fromisoformat(found["created_at"]),
        None if found["done_at"] is None else datetime.fromisoformat(found["done_at"]),
    )
