"""The tasks: what became of an accepted command, in Celery's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sealward.http.answer import Date, Id, Uuid, answer, date, rfc1123
from sealward.http.errors import Problem
from sealward.http.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon

    from sealward.http.door import Door


class Task(msgspec.Struct, frozen=True):
    """A client's handle on an accepted request; `result` is what is known of its outcome."""

    task_id: str
    name: str
    state: str
    result: dict[str, Any] | None
    node_id: Id
    server_id: Uuid | None
    created_at: Date
    date_done: Date | None


class TaskAnswer(msgspec.Struct, frozen=True):
    """One task."""

    task: Task


class Tasks:
    """`/task/{task_id}`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/task/{task_id}",
                self.show,
                {200: Answer(TaskAnswer)},
                refuses={404: ("task.not-found",)},
            )
        ]

    def show(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show a task's state and result."""
        del req
        with self._door.projections.reading() as tables:
            row = self._door.projections.tasks.one(tables, task_id)
        if row is None:
            raise Problem(404, "task.not-found", "No accepted request has this task id.")
        task = Task(
            row.task_id,
            row.name,
            row.state,
            row.result,
            row.node_id,
            row.server_id,
            date(row.created_at),
            rfc1123(row.done_at),
        )
        answer(resp, TaskAnswer(task))
