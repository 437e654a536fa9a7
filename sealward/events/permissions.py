"""What each user of the broker may do: RabbitMQ's three patterns of names (docs/broker.md).

Nobody but workers may write to the default exchange, `amq.default`: who may can write to every queue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NODE: Final = "node."
"""What the names of the nodes' users begin with."""
NOTHING: Final = "^$"
"""Matches no name of a queue or exchange: the default exchange is asked for by the name `amq.default`."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Regular expressions over names of exchanges and queues: to make, to write to, to read from."""

    configure: str
    write: str
    read: str


def user_of(hostname: str) -> str:
    """Return the broker's user of a node: its hostname, letter for letter, behind a prefix.

    So two hostnames never have one user, also where they differ in case alone.
    """
    return NODE + hostname


def of_worker() -> Permissions:
    """Return what a worker may: all that is ours, and Celery's events."""
    own = r"^(sealward\..*|celeryev)$"
    return Permissions(own, ".*", own)


def of_node(hostname: str) -> Permissions:
    """Return what the agent of a node may: report, and read its own queue. It makes nothing."""
    own = re.escape(f"sealward.node.{hostname}")
    return Permissions(NOTHING, r"^sealward\.reports$", f"^{own}$")
