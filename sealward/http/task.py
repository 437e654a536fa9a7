"""The tasks: what became of an accepted command, in Celery's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.http.answer import answer, rfc1123
from sealward.http.errors import Problem
from sealward.http.request import Query

if TYPE_CHECKING:
    import falcon

    from sealward.http.door import Door


class Task:
    """`/task/{task_id}`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show a task's state and result."""
        Query(req, ())
        with self._door.projections.reading() as tables:
            row = self._door.projections.tasks.one(tables, task_id)
        if row is None:
            raise Problem(404, "task.not-found", "No accepted request has this task id.")
        shown = {
            "task_id": row.task_id,
            "name": row.name,
            "state": row.state,
            "result": row.result,
            "node_id": row.node_id,
            "server_id": row.server_id,
            "created_at": rfc1123(row.created_at),
            "date_done": rfc1123(row.done_at),
        }
        answer(resp, {"task": shown})
