"""The states of a task, in Celery's words."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """The state of a task, as it stands in the rows and in answers.

    https://docs.celeryq.dev/en/stable/userguide/tasks.html#built-in-states
    """

    PENDING = "PENDING"
    """The task waits for its node."""
    RETRY = "RETRY"
    """The server could not be measured; the task waits for the server's next seal."""
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    """The server could not be measured."""
    REVOKED = "REVOKED"
    """A later order took the task's place."""


WAITING: Final = frozenset((TaskState.PENDING, TaskState.RETRY))
"""The states of a task that is not done."""
