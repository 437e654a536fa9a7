"""The permissions of each user of the broker: RabbitMQ's three patterns of names (docs/broker.md).

Only workers may write to the default exchange, `amq.default`, because it leads to every queue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NODE: Final = "node."
"""Prefix of the names of the nodes' users."""
NOTHING: Final = "^$"
"""Matches no name of a queue or exchange: the default exchange is asked for by the name `amq.default`."""


LIMITS: Final = {"max-connections": 6, "max-channels": 12}
"""How many connections and channels a node's user may have open. An agent has two connections with three
channels. After a network failure the broker keeps the agent's earlier connections for some seconds."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Regular expressions over names of exchanges and queues: to make, to write to, to read from."""

    configure: str
    write: str
    read: str


def user_of(hostname: str) -> str:
    """Return the broker's user of a node: its hostname, letter for letter, behind a prefix.

    So two hostnames never have the same user, not even when they differ only in case.
    """
    return NODE + hostname


def of_worker() -> Permissions:
    """Return a worker's permissions: all queues and exchanges of Sealward, and Celery's events."""
    own = r"^(sealward\..*|celeryev)$"
    return Permissions(own, ".*", own)


def of_node(hostname: str, *, is_uninvited: bool = False) -> Permissions:
    """Return an agent's permissions: write to its node's inbox, read its node's queue, and declare nothing.

    A host that registers without an invitation has no inbox before, so it may write to the shared inbox, too.
    """
    own, queue = re.escape(f".{hostname}"), re.escape(f"sealward.node.{hostname}")
    inbox = f"({own})?" if is_uninvited else own
    return Permissions(NOTHING, rf"^sealward\.reports{inbox}$", f"^{queue}$")
