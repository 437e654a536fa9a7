"""Decides on announced migrations: the home says that a server leaves for one destination. Pure functions.

1. Only the home of a server announces that the server leaves. Each announcement is for one node.
2. While a migration is announced, only the same destination may be announced again. When another node
   requests the server meanwhile, the announcement is contested: a migration has one destination, and the
   control plane cannot tell which of the two nodes it is. So neither node counts as the destination until the
   announcement ends.
3. An announcement ends when the sign moves, or when the home says later, by its own clock, that the
   server stays.
4. While a node claims the server, nothing is announced to anybody but that node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.clock import is_overtaken, refuse_future
from sealward.commands.errors import AnnouncedToAnother, NotSigned
from sealward.commands.fact import about_sign
from sealward.commands.moves.location import refuse_others
from sealward.events.sign import SignLeaving, SignStayed

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import AnnounceLeaving, ContestLeaving, EndLeaving
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event


def announce_leaving(sign: Sign | None, command: AnnounceLeaving, *, now: datetime) -> list[Event]:
    """Record that the home migrates the server to a node. The same announcement again is no change.

    Raises NotSigned, WrongNode, MovedAway, FromTheFuture, AnnouncedToAnother.
    """
    if sign is None:
        raise NotSigned
    refuse_others(sign, command.node_id)
    refuse_future(command.announced_at, now)
    if any(one.node_id != command.to_node_id for one in sign.verdict.claims):
        raise AnnouncedToAnother
    if sign.leaving is not None:
        if sign.leaving.to_node_id != command.to_node_id:
            raise AnnouncedToAnother
        return []
    announced = about_sign(
        SignLeaving,
        sign,
        command,
        now,
        hostname=sign.hostname,
        to_node_id=command.to_node_id,
        to_hostname=command.to_hostname,
        announced_at=command.announced_at,
    )
    return [announced]


def contest_leaving(sign: Sign | None, command: ContestLeaving, *, now: datetime) -> list[Event]:
    """Record, once for an announcement, that a second node requests the server. Raises NotSigned."""
    if sign is None:
        raise NotSigned
    known = sign.leaving
    if known is None or known.is_contested or command.by_node_id in {sign.node_id, known.to_node_id}:
        return []
    contested = about_sign(
        SignLeaving,
        sign,
        command,
        now,
        hostname=sign.hostname,
        to_node_id=command.by_node_id,
        to_hostname=command.by_hostname,
        announced_at=known.announced_at,
        contested=True,
    )
    return [contested]


def end_leaving(sign: Sign | None, command: EndLeaving, *, now: datetime) -> list[Event]:
    """Record that an announced migration has ended and the server stays.

    A report that the home made before it announced the migration ends nothing, even if it is processed later.
    Raises NotSigned, WrongNode, MovedAway.
    """
    if sign is None:
        raise NotSigned
    refuse_others(sign, command.node_id)
    if sign.leaving is None or is_overtaken(command.taken_at, sign.leaving.announced_at):
        return []
    stayed = about_sign(
        SignStayed,
        sign,
        command,
        now,
        hostname=sign.hostname,
        to_node_id=sign.leaving.to_node_id,
        to_hostname=sign.leaving.to_hostname,
    )
    return [stayed]
