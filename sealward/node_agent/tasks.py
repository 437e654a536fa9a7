"""The tasks that wait for this node's answer: validations of one server, and switches of the whole node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealward.protocol.desired import Desired


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that waits for this node's answer: about one sign, or, without `server_id`, about the node."""

    task_id: str
    server_id: str | None = None
    sign_id: int = 0


class OpenTasks:
    """The tasks of one node, until the event is heard that answers them: an answer can be lost on its way.

    For the thread of one agent.
    """

    def __init__(self) -> None:
        self._open: dict[str, OpenTask] = {}

    def __iter__(self) -> Iterator[OpenTask]:
        """Iterate over the tasks that are open now, in the order in which they came."""
        return iter(tuple(self._open.values()))

    def of(self, server_id: str) -> Iterator[OpenTask]:
        """Iterate over the tasks about one server."""
        return (one for one in self if one.server_id == server_id)

    def take_over(self, desired: Desired) -> None:
        """Open the tasks that the control plane names, and close all other tasks."""
        signs = {one.server_id: one.sign_id for one in desired.assignments}
        self._open = {
            duty.task_id: OpenTask(duty.task_id, duty.server_id, signs.get(duty.server_id or "", 0))
            for duty in desired.duties
            if duty.action in ("validate", "activate", "deactivate")
        }

    def add(self, task: OpenTask) -> None:
        """Open a task."""
        self._open[task.task_id] = task

    def answered(self, task_id: str | None) -> None:
        """Close a task: an event has answered it. None is the id of no task."""
        self._open.pop(task_id or "", None)

    def supersede(self, server_id: str | None) -> None:
        """Close all tasks about a server, or about the node (None): a later order takes their place."""
        self._open = {task_id: one for task_id, one in self._open.items() if one.server_id != server_id}
