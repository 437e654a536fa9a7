"""The names of the queues between the control plane and its nodes, without the bus's namespace."""

from __future__ import annotations

from typing import Final

INBOX: Final = "reports"
"""The inbox that nodes share: on a bus without users, and for nodes that have no inbox of their own."""


def queue_of(hostname: str) -> str:
    """Return the name of the queue from which a node receives messages of the control plane."""
    return f"node.{hostname}"


def inbox_of(hostname: str) -> str:
    """Return the name of a node's own inbox: no other node may write to it."""
    return f"{INBOX}.{hostname}"
