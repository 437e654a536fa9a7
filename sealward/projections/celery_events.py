"""Nodes and tasks as Celery's workers and tasks: `celery events`, Flower and the like show them.

The messages are those of Celery 5.7's event protocol: topic exchange `celeryev`, routing key `task.received`,
fields `type`, `hostname`, `timestamp`, `utcoffset`, `pid`, `clock` and the kind's own
(https://docs.celeryq.dev/en/stable/internals/protocol.html#event-messages). A node is the worker
`sealward@HOSTNAME`. The broker does not keep the messages for later listeners.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.events import node as of_node
from sealward.events.set_aside import BROKEN, only_said
from sealward.events.wire import codec
from sealward.projections.task_state import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from sealward.events.base import Event, Stored
    from sealward.events.bus.bus import Bus
    from sealward.events.set_aside import SetAside
    from sealward.projections.store.database import Projections
    from sealward.projections.store.tables import Tables
    from sealward.projections.tasks import TaskRow

EXCHANGE: Final = "celeryev"
PATIENCE: Final = 2.0
"""Seconds that `publish` waits for the rows that its events change."""
ENDINGS: Final = {
    TaskState.SUCCESS: "task-succeeded",
    TaskState.FAILURE: "task-failed",
    TaskState.RETRY: "task-retried",
    TaskState.REVOKED: "task-revoked",
}


class CeleryEvents:
    """A publisher for a relay: it turns events of the log into Celery's messages about workers and tasks."""

    def __init__(
        self,
        bus: Bus,
        projections: Projections,
        heartbeat: float,
        clock: Callable[[], datetime],
        set_aside: SetAside = only_said,
    ) -> None:
        self._set_aside = set_aside
        self._refusals = (*BROKEN, *projections.backend.refusals)
        self._bus = bus
        self._projections = projections
        self._heartbeat = heartbeat
        self._clock = clock
        self._said = 0

    def heard(self, hostname: str) -> None:
        """Publish a heartbeat of a node. Raises BusUnavailable."""
        self._say("worker-heartbeat", hostname, self._clock(), {"active": 0, "processed": 0, "loadavg": []})

    def publish(self, batch: Iterable[Stored]) -> None:
        """Publish Celery's messages for a batch, in order. Raises BusUnavailable, EventFromNewerVersion."""
        entries = list(batch)
        self._projections.wait_for(entries[-1].position, PATIENCE)
        with self._projections.reading() as tables:
            for one in entries:
                try:
                    self._tell(codec.read(one).event, tables)
                except codec.EventFromNewerVersion:
                    raise
                except self._refusals as why:
                    self._set_aside(one.position, one.topic, why)

    def close(self) -> None:
        """Do nothing: the bus belongs to the caller."""

    def _tell(self, event: Event, tables: Tables) -> None:
        if isinstance(event, of_node.NodeRegistered | of_node.NodeReturned):
            self._say("worker-online", event.hostname, event.timestamp, {})
        elif isinstance(event, of_node.NodeLost | of_node.NodeRemoved):
            self._say("worker-offline", event.hostname, event.timestamp, {})
        for kind, row, fields in self._of_tasks(event, tables):
            node = self._projections.nodes.one(tables, row.node_id)
            if node is not None:
                self._say(kind, node.hostname, event.timestamp, {"uuid": row.task_id, **fields})

    def _of_tasks(self, event: Event, tables: Tables) -> Iterator[tuple[str, TaskRow, dict[str, Any]]]:
        tasks = self._projections.tasks
        if event.task_id is None or (row := tasks.one(tables, event.task_id)) is None:
            return
        if row.created_at == event.timestamp:
            for old in tasks.superseded(tables, event):
                yield ENDINGS[TaskState.REVOKED], old, _ending(old)
            yield "task-received", row, _beginning(row)
        if row.state in ENDINGS and row.done_at in (None, event.timestamp):
            yield ENDINGS[row.state], row, _ending(row)

    def _say(self, kind: str, hostname: str, moment: datetime, fields: dict[str, Any]) -> None:
        self._said += 1
        message = {
            "type": kind,
            "hostname": f"sealward@{hostname}",
            "timestamp": moment.timestamp(),
            "utcoffset": 0,
            "pid": os.getpid(),
            "clock": self._said,
            "freq": self._heartbeat,
            "sw_ident": "sealward",
            **fields,
        }
        self._bus.announce(EXCHANGE, kind.replace("-", "."), msgspec.json.encode(message))


def _beginning(row: TaskRow) -> dict[str, Any]:
    known = {"node_id": row.node_id, "server_id": row.server_id}
    return {
        "name": row.name,
        "args": "()",
        "kwargs": repr({name: value for name, value in known.items() if value is not None}),
        "retries": 0,
        "eta": None,
        "expires": None,
        "root_id": row.task_id,
        "parent_id": None,
    }


def _ending(row: TaskRow) -> dict[str, Any]:
    reasons = ", ".join((row.result or {}).get("reasons", ()))
    match row.state:
        case TaskState.SUCCESS:
            return {"result": repr(row.result), "runtime": _runtime(row)}
        case TaskState.REVOKED:
            return {"terminated": False, "signum": None, "expired": False}
        case _:
            return {"exception": f"NotMeasured({reasons!r})", "traceback": f"NotMeasured: {reasons}"}


def _runtime(row: TaskRow) -> float:
    """Return the seconds from the order to the answer."""
    return 0.0 if row.done_at is None else max(0.0, (row.done_at - row.created_at).total_seconds())
