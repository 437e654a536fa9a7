"""The streams that commands are decided on: the stream of a server's sign, and the stream of a node."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealward.commands import messages as ask
from sealward.commands import node_state, sign_state
from sealward.events.base import KNOWN, node_stream, sign_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from sealward.events.base import Event


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream, and the function that folds the stream's events into a state."""

    id: UUID
    fold: Callable[[Any, Iterable[Event]], Any]
    state: type[Any]
    shape: str
    """Names the shape of `state` in snapshots: a snapshot of another shape is not read."""


@functools.lru_cache(maxsize=KNOWN)
def of_sign(server_id: str) -> Stream:
    """Return the stream of a server's sign."""
    return Stream(sign_stream(server_id), sign_state.fold, sign_state.Sign, sign_state.SHAPE)


@functools.lru_cache(maxsize=KNOWN)
def of_node(hostname: str) -> Stream:
    """Return the stream of a node."""
    return Stream(node_stream(hostname), node_state.fold, node_state.Node, node_state.SHAPE)


def of(command: ask.Command) -> Stream:
    """Return the stream that a command is decided on."""
    match command:
        case ask.SignCommand():
            return of_sign(command.server_id)
        case ask.RegisterNode() | ask.NodeCommand():
            return of_node(command.hostname)
    raise TypeError(command)
