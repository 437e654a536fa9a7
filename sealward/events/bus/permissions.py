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


LIMITS: Final = {"max-connections": 6, "max-channels": 12}
"""What a node's user may open at the broker at once. An agent has two connections with three channels; after
its network was cut, the broker knows of the earlier ones for some seconds more."""


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


def of_node(hostname: str, *, is_uninvited: bool = False) -> Permissions:
    """Return what an agent may: write to its node's inbox, and read its node's queue. It makes nothing.

    A host that is to register uninvited has no inbox before that: it may write to the shared inbox as well.
    """
    own, queue = re.escape(f".{hostname}"), re.escape(f"sealward.node.{hostname}")
    inbox = f"({own})?" if is_uninvited else own
    return Permissions(NOTHING, rf"^sealward\.reports{inbox}$", f"^{queue}$")
