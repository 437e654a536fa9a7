"""The tasks and their states in Celery's terms, as GET /v1/task answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events import typed
from sealward.events.cause import Cause
from sealward.events.is_valid import IsValid
from sealward.projections.store.tables import up_to
from sealward.projections.task_state import WAITING, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Event, Recorded
    from sealward.projections.store.tables import Row, Tables


NAMES: Final[dict[type[Event], str]] = {
    of_sign.SignCreated: "sealward.sign.create",
    of_sign.SignUpdated: "sealward.sign.update",
    of_sign.SignRevoked: "sealward.sign.revoke",
    of_sign.SignValidationRequested: "sealward.sign.validate",
    of_node.NodeActivated: "sealward.node.activate",
    of_node.NodeDeactivated: "sealward.node.deactivate",
    of_node.NodeRemoved: "sealward.node.remove",
}
"""The name of the task that an event of each type begins."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task: an accepted order, its state and its result."""

    task_id: str
    name: str
    state: TaskState
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
    """The projection of tasks: one row for each accepted command that has a task id."""

    name = "tasks"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("tasks.drop")
        tables.run("tasks.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists; in PostgreSQL also the view that Celery's clients read."""
        tables.run("tasks.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        events = [one.event for one in batch if _matters(one.event)]
        if events:
            folded = _Rows(tables, events)
            for event in events:
                folded.fold(event)
            folded.flush()

    def one(self, tables: Tables, task_id: str) -> TaskRow | None:
        """Return the task with that id."""
        found = tables.one("tasks.one", {"task_id": task_id})
        return _row(found) if found else None

    def by_state(self, tables: Tables) -> dict[TaskState, int]:
        """Return how many tasks are in each state."""
        return {TaskState(found["state"]): found["tasks"] for found in tables.all("tasks.by-state")}

    def superseded(self, tables: Tables, event: Event) -> list[TaskRow]:
        """Return the tasks that an event has revoked, because a later order replaced theirs."""
        values = {"node_id": getattr(event, "node_id", 0), "at": event.timestamp.isoformat()}
        return [_row(found) for found in tables.all("tasks.superseded", values)]

    def waiting(self, tables: Tables, node_id: int | None = None, limit: int | None = None) -> list[TaskRow]:
        """Return the tasks that wait for a node, or for any node, the oldest first."""
        values = {"node_id": node_id, "limit": up_to(limit)}
        return [_row(found) for found in tables.all("tasks.waiting", values)]


def _matters(event: Event) -> bool:
    if isinstance(event, of_sign.SignValidated | of_node.NodeSwept):
        return event.task_id is not None
    return type(event) in NAMES or isinstance(event, of_sign.SignMoved)


class _Rows:
    """The tasks that the events of a batch change. Each task is read once and written once."""

    def __init__(self, tables: Tables, events: Iterable[Event]) -> None:
        self._tables = tables
        self._rows: dict[str, TaskRow] = {}
        self._waiting: dict[str | int, set[str]] = {}
        began = [one for one in events if type(one) in NAMES or isinstance(one, of_sign.SignMoved)]
        wanted = {
            "tasks": _list({one.task_id for one in events if one.task_id is not None}),
            "servers": _list({one.server_id for one in began if isinstance(one, of_sign.SignEvent)}),
            "nodes": _list({one.node_id for one in began if isinstance(one, of_node.NodeEvent)}),
        }
        for found in tables.all("tasks.touched", wanted):
            self._keep(_row(found))

    def fold(self, event: Event) -> None:
        match event:
            case of_sign.SignValidated() if self._is_about(event.task_id, event.node_id, event.server_id):
                self._validated(event)
            case of_node.NodeSwept() if self._is_about(event.task_id, event.node_id, None):
                result = {"node_id": event.node_id, "cause": event.cause, "counts": event.counts}
                self._end(event.task_id, TaskState.SUCCESS, result, event.timestamp)
            case of_sign.SignValidated() | of_node.NodeSwept():
                pass  # the node was not asked for this task
            case of_sign.SignMoved():
                for task_id in tuple(self._waiting.get(event.server_id, ())):
                    self._keep(replace(self._rows[task_id], node_id=event.node_id))
            case of_sign.SignEvent() | of_node.NodeEvent():
                self._begin(event)

    def _is_about(self, task_id: str | None, node_id: int, server_id: str | None) -> bool:
        """Say whether a task concerns that server or, without a server, that node.

        The check is needed because a node chooses the task id in its reports.
        """
        row = self._rows.get(task_id or "")
        if row is None or row.server_id != server_id:
            return False
        return server_id is not None or row.node_id == node_id

    def flush(self) -> None:
        self._tables.many("tasks.put", [_values(row) for row in self._rows.values()])

    def _begin(self, event: of_sign.SignEvent | of_node.NodeEvent) -> None:
        """Open a task and revoke the waiting tasks that it replaces. A task that needs no node is done."""
        server_id = event.server_id if isinstance(event, of_sign.SignEvent) else None
        if not isinstance(event, of_sign.SignValidationRequested):
            for task_id in tuple(self._waiting.get(server_id or event.node_id, ())):
                self._end(task_id, TaskState.REVOKED, None, event.timestamp)
        if event.task_id is None or event.task_id in self._rows:
            return
        row = TaskRow(
            event.task_id,
            NAMES[type(event)],
            TaskState.PENDING,
            event.node_id,
            server_id,
            None,
            event.timestamp,
            None,
        )
        self._keep(row)
        if isinstance(event, of_sign.SignRevoked):
            self._end(event.task_id, TaskState.SUCCESS, {"server_id": server_id}, event.timestamp)
        if isinstance(event, of_node.NodeRemoved):
            self._end(event.task_id, TaskState.SUCCESS, {"node_id": event.node_id}, event.timestamp)

    def _validated(self, event: of_sign.SignValidated) -> None:
        """End the task with the verdict. Without a measurement the task fails, or waits for its seal."""
        result = {
            "server_id": event.server_id,
            "is_valid": event.is_valid.value,
            "reasons": list(event.reasons),
        }
        row = self._rows.get(event.task_id or "")
        if event.cause == Cause.SEALED and event.is_valid is not IsValid.TRUE:
            if row is not None and row.state in WAITING:
                self._keep(replace(row, state=TaskState.RETRY, result=result))
        elif event.is_valid is not IsValid.UNKNOWN:
            self._end(event.task_id, TaskState.SUCCESS, result, event.timestamp)
        else:
            self._end(event.task_id, TaskState.FAILURE, result, event.timestamp)

    def _end(
        self, task_id: str | None, state: TaskState, result: dict[str, Any] | None, at: datetime
    ) -> None:
        row = self._rows.get(task_id or "")
        if row is not None and row.state in WAITING:
            self._keep(replace(row, state=state, result=result or row.result, done_at=at))

    def _keep(self, row: TaskRow) -> None:
        self._rows[row.task_id] = row
        waiting = self._waiting.setdefault(row.server_id or row.node_id, set())
        if row.state in WAITING:
            waiting.add(row.task_id)
        else:
            waiting.discard(row.task_id)


def _list(values: Iterable[object]) -> str:
    return msgspec.json.encode(sorted(values, key=str)).decode()


def _values(row: TaskRow) -> dict[str, object]:
    return {
        "task_id": row.task_id,
        "name": row.name,
        "state": row.state.value,
        "node_id": row.node_id,
        "server_id": row.server_id,
        "result": None if row.result is None else _json(row.result),
        "created_at": row.created_at.isoformat(),
        "done_at": None if row.done_at is None else row.done_at.isoformat(),
    }


def _json(result: dict[str, Any]) -> str:
    return msgspec.json.encode(result, order="sorted").decode()


def _row(found: Row) -> TaskRow:
    return TaskRow(
        found["task_id"],
        found["name"],
        TaskState(found["state"]),
        found["node_id"],
        found["server_id"],
        None if found["result"] is None else typed.decode(found["result"], dict[str, Any]),
        datetime.fromisoformat(found["created_at"]),
        None if found["done_at"] is None else datetime.fromisoformat(found["done_at"]),
    )
