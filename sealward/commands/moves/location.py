"""Rules for the node that a sign is on, and for moves of a sign to another node: pure functions.

The home of a server is the node that its sign is on. A node other than the home takes part when it runs the
server, or has it while the home has not.

Rules, each with a test of its name in tests/commands/test_location.py:

1. A node that has a server switched off while its home has it, too, takes no part: it has a leftover.
2. The destination of a migration that the home has announced gets the sign as soon as it runs the server and
   the home does not, so that a node that asks in the place of the true destination is contested before (see
   `commands.leaving`). Until then the destination claims nothing. Where the home does not say so, being lost
   or slow, the word of the destination is enough when nobody has contested the announcement for a while.
3. While the home has a server and has not let it go, another node that runs it claims it, and the sign stays.
4. A home has let a server go when it no longer has it, or when libvirt there says that the server goes,
   or went, to another node. When it does not run there any more, the sign goes to the node that takes part.
5. A claim that the home has contradicted is not served by the server's leaving alone.
6. Of several nodes that take part none gets the sign: all of them claim it. A denied claim does not count.
   While a migration is announced, a node that has the server paused for it takes part, too, against a node
   that says that it runs the server.
7. While the destination of an announced migration is awaited, no other node gets the sign. That of a
   contested announcement is not awaited.
8. A home that is lost, or no node any more, keeps the sign, unless the home's policy lets signs follow;
   its reports from before it was lost still count (rules 2 and 4).
9. An administrator can move a sign whose home is lost, is no node any more, or does not run the server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from sealward.commands.errors import MovedAway, NodeNotLost, NotSigned, WrongNode
from sealward.commands.fact import about_sign
from sealward.commands.node_state import names
from sealward.events.sign import Grounds, SignMoved

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import MoveSign
    from sealward.commands.node_state import Node
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event

AWAITED: Final = timedelta(seconds=60)
"""For how long after its announcement the destination of a migration has precedence when the home has already
let the server go: longer than an agent's sweep interval is by default."""
AGREED: Final = timedelta(seconds=10)
"""How old an uncontested announcement is when the destination's word is enough: the start gate or the agent
of the true destination asks as soon as libvirt prepares the server there, long before that."""


class Standing(NamedTuple):
    """The last report of a node about one server, and whether the node is heard: neither lost nor removed."""

    has: bool = False
    runs: bool = False
    leaving: bool = False
    is_heard: bool = True
    is_node: bool = True

    @property
    def has_stopped(self) -> bool:
        """Say whether the node, as the home of the server, has let it go and does not run it (rule 4)."""
        return self.let_go and not self.runs

    @property
    def let_go(self) -> bool:
        """Say whether the node, as the home of the server, has let it go (rule 4)."""
        return self.is_node and (not self.has or self.leaving)


NO_NODE: Final = Standing(is_heard=False, is_node=False)
"""The standing of a removed node; its earlier reports do not matter."""


class Others(NamedTuple):
    """The other facts that decide about a node that takes part.

    `claim` says whether another node has a claim that is not denied, `follow_lost` whether the policy of the
    home lets signs follow their servers when the home is lost.
    """

    claim: bool = False
    follow_lost: bool = False


def standing(node: Node | None, node_id: int, server_id: str) -> Standing:
    """Return the standing of the node `node_id` for a server; NO_NODE if `node` is not that node."""
    if node is None or node.removed or node.node_id != node_id:
        return NO_NODE
    has = server_id in names(node.instances)
    return Standing(has, server_id in node.running, server_id in node.leaving, not node.lost)


def takes_part(home: Standing, other: Standing) -> bool:
    """Say whether a node other than the home takes part in deciding where a server is (rule 1)."""
    return other.runs or (other.has and home.is_node and not home.has)


def grounds_for(
    sign: Sign, other: tuple[int, Standing], home: Standing, others: Others, now: datetime
) -> Grounds | None:
    """Return the grounds on which the sign moves to a node that takes part; None: the node claims the server.

    `other` is the id and the standing of that node.
    """
    node_id, there = other
    announced = sign.leaving
    if is_destination(sign, node_id) and there.runs and not is_early(sign, home, now):
        return Grounds.ANNOUNCED
    is_denied = any(one.node_id == node_id and one.denied for one in sign.verdict.claims)
    is_awaited = (
        announced is not None and not announced.is_contested and now - announced.recorded_at < AWAITED
    )
    if others.claim or is_denied or is_awaited:
        return None
    if home.has_stopped:
        return Grounds.LEFT
    return Grounds.POLICY if not home.is_heard and others.follow_lost else None


def is_destination(sign: Sign, node_id: int) -> bool:
    """Say whether a migration is announced for a node and not contested."""
    announced = sign.leaving
    return announced is not None and announced.to_node_id == node_id and not announced.is_contested


def is_early(sign: Sign, home: Standing, now: datetime) -> bool:
    """Say whether it is too early for the destination's report alone to move the sign (rule 2)."""
    announced = sign.leaving
    is_young = announced is not None and now - announced.recorded_at < AGREED
    return is_young and home.is_heard and not home.has_stopped


def is_rival(sign: Sign, home: Standing, other: Standing, there: Standing) -> bool:
    """Say whether another node takes part against a node that takes part (rule 6)."""
    if sign.leaving is not None and other.has and other.leaving:
        return True
    return takes_part(home, other) and (other.runs or not there.runs)


def gone(before: Node, node: Node) -> list[str]:
    """Return the servers that a node has ceased to have or to run, or begun to let go, since `before`."""
    had = {server_id for server_id, _ in before.instances - node.instances}
    return sorted(had | (before.running - node.running) | (node.leaving - before.leaving))


def refuse_order(home: Standing) -> None:
    """Raise NodeNotLost for an administrator's order to move a server that its home runs (rule 9)."""
    if home.is_heard and home.runs:
        raise NodeNotLost


def move_sign(sign: Sign | None, command: MoveSign, *, now: datetime) -> list[Event]:
    """Move the sign to another node. Raises NotSigned."""
    if sign is None:
        raise NotSigned
    if sign.node_id == command.node_id:
        return []
    moved = about_sign(
        SignMoved,
        replace(sign, node_id=command.node_id),
        command,
        now,
        hostname=command.hostname,
        instance_name=command.instance_name,
        from_node_id=sign.node_id,
        from_hostname=sign.hostname,
        generation=sign.sealed,
        grounds=command.grounds,
    )
    return [moved]


def refuse_others(sign: Sign, node_id: int) -> None:
    """Raise WrongNode or MovedAway if a node is not the home of the server."""
    if node_id != sign.node_id:
        raise MovedAway if node_id == sign.moved_from else WrongNode
