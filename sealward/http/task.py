"""The tasks: the outcome of accepted commands, in Celery's states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.http.auth.access import LOOKS, Rule
from sealward.http.operation.answer import Date, Id, Uuid, answer, date, rfc1123
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import LIMIT, NODE_ID, Query
from sealward.projections.task_state import WAITING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import falcon

    from sealward.http.services import Services
    from sealward.projections.nodes import NodeRow
    from sealward.projections.tasks import TaskRow

MOST: Final = 1000
"""Orders that are listed, at most."""


class Progress(msgspec.Struct, frozen=True):
    """How far the node is with reading the files that a task waits for."""

    bytes_done: int
    bytes_total: int
    bytes_per_second: int | None
    seconds_left: int | None


class Task(msgspec.Struct, frozen=True):
    """The task of an accepted request. `result` is its outcome, as far as it is known."""

    task_id: str
    name: str
    state: str
    result: dict[str, Any] | None
    node_id: Id
    server_id: Uuid | None
    created_at: Date
    date_done: Date | None
    progress: Progress | None
    """Null where nothing is being read for the task."""


class WaitingTask(msgspec.Struct, frozen=True):
    """An order that is not carried out yet. `reasons` say what its node has found in the way so far.

    `reachable` says whether the node was heard within its lease; the order waits for that node.
    """

    task_id: str
    name: str
    state: str
    server_id: Uuid | None
    instance_name: str | None
    node_id: Id
    hostname: str | None
    reachable: bool
    reasons: list[str]
    created_at: Date
    progress: Progress | None


class TaskList(msgspec.Struct, frozen=True):
    """Orders that wait, the oldest first."""

    tasks: list[WaitingTask]


class TaskAnswer(msgspec.Struct, frozen=True):
    """A task."""

    task: Task


class Tasks:
    """`/task` and `/task/{task_id}`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/task",
                self.list,
                {200: Answer(TaskList)},
                rule=Rule("task:list", "List the orders that wait.", LOOKS),
                query=(NODE_ID, LIMIT),
            ),
            Operation(
                "GET",
                "/task/{task_id}",
                self.show,
                {200: Answer(TaskAnswer)},
                rule=Rule("task:show", "Show a task.", LOOKS),
                refuses={404: ("task.not-found",)},
            ),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the orders that wait for their nodes, the oldest first, a thousand unless `limit` is given."""
        query: Query = req.context.query
        limit = query.get(LIMIT)
        projections, seen = self._services.projections, self._services.leases.seen()
        with projections.reading() as tables:
            rows = projections.tasks.waiting(
                tables, query.get(NODE_ID), MOST if limit is None else min(limit, MOST)
            )
            nodes = {node.node_id: node for node in projections.nodes.all(tables)}
            servers = {row.server_id for row in rows if row.server_id is not None}
            names = projections.servers.names(tables, servers)
        answer(resp, TaskList([self._waiting(row, nodes.get(row.node_id), names, seen) for row in rows]))

    def _waiting(
        self, row: TaskRow, node: NodeRow | None, names: Mapping[str, str], seen: Mapping[str, datetime]
    ) -> WaitingTask:
        return WaitingTask(
            row.task_id,
            row.name,
            row.state,
            row.server_id,
            names.get(row.server_id or ""),
            row.node_id,
            None if node is None else node.hostname,
            node is not None and not node.lost and node.hostname in seen,
            list((row.result or {}).get("reasons", ())),
            date(row.created_at),
            None if node is None else self._progress(row, node.hostname),
        )

    def show(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show a task's state and result."""
        del req
        projections = self._services.projections
        with projections.reading() as tables:
            row = projections.tasks.one(tables, task_id)
            node = None if row is None else projections.nodes.one(tables, row.node_id)
        if row is None:
            raise Problem(404, "task.not-found", "No accepted request has this task id.")
        progress = None if node is None else self._progress(row, node.hostname)
        answer(resp, TaskAnswer(_shown(row, progress)))

    def _progress(self, row: TaskRow, hostname: str) -> Progress | None:
        if row.state not in WAITING or row.server_id is None:
            return None
        reading = self._services.progress.of(hostname, row.server_id, self._services.clock())
        if reading is None:
            return None
        left, rate = reading.bytes_total - reading.bytes_done, reading.bytes_per_second
        return Progress(
            reading.bytes_done, reading.bytes_total, rate, math.ceil(left / rate) if rate else None
        )


def _shown(row: TaskRow, progress: Progress | None) -> Task:
    return Task(
        row.task_id,
        row.name,
        row.state,
        row.result,
        row.node_id,
        row.server_id,
        date(row.created_at),
        rfc1123(row.done_at),
        progress,
    )
