"""Announced migrations: the home says that a server leaves, for one destination: pure functions.

1. Only the home of a server announces that it leaves; each announcement is for one node.
2. While a migration is announced, the same destination may be named again, and no other. When another node
   asks for the server meanwhile, the announcement is contested: a migration has one destination, and nobody
   can say which of the two it is. So neither is, until the announcement ends.
3. An announcement ends when the sign moves, or when the home says later, by its own clock, that the
   server stays.
4. While a node claims the server, nothing is announced to anybody but that node.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - snapshots are read by the annotations
from typing import TYPE_CHECKING

from sealward.commands.clock import is_overtaken, refuse_future
from sealward.commands.errors import AnnouncedToAnother, NotSigned
from sealward.commands.fact import about_sign
from sealward.commands.moves.location import refuse_others
from sealward.events.sign import SignLeaving, SignStayed

if TYPE_CHECKING:
    from sealward.commands.messages import AnnounceLeaving, ContestLeaving, EndLeaving
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event


def announce_leaving(sign: Sign | None, command: AnnounceLeaving, *, now: datetime) -> list[Event]:
    """Record that the home migrates the server to that node; the same again is no news.

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
    """Record that a second node asks for a server that leaves, once for an announcement. Raises NotSigned."""
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
    """Record that a migration which was announced has ended and the server stays.

    What the home said before it announced the migration ends nothing: it was only heard later.
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
