"""Moves signs after their servers: applies each inventory of a node to the signs that it concerns.

The rules are in `commands.moves.location` and `commands.moves.claim`. This module chooses the nodes and signs
to which the rules are applied.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealward.commands import messages as ask
from sealward.commands.context import by_node
from sealward.commands.errors import StreamUnreadable
from sealward.commands.moves import claim as claims
from sealward.commands.moves import location
from sealward.commands.node_state import names
from sealward.commands.writer.stream import of_sign
from sealward.events.policy import OnLoss
from sealward.intake.registration.reference_requests import Why, contest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.commands.sign_state import Sign
    from sealward.commands.writer.unit_of_work import UnitOfWork
    from sealward.intake.registration.reference_requests import Exchange, ReferenceRequests
    from sealward.intake.reports.locations import Locations


log = logging.getLogger(__name__)

MOST_CLAIMS: Final = 200
"""Claims that one node can open within `WITHIN`. A claim beyond that is recorded with a later inventory."""
WITHIN: Final = timedelta(minutes=1)
DENIED_AFTER: Final = timedelta(seconds=10)
"""A home that still reports the server so long after a claim was recorded denies the claim: an inventory is
on its way for less time. Both times are by the control plane's clock."""


class Following:
    """Applies inventories to signs. For one thread."""

    def __init__(
        self, locations: Locations, reference_requests: ReferenceRequests, clock: Callable[[], datetime]
    ) -> None:
        self._locations = locations
        self._reference_requests = reference_requests
        self._clock = clock
        self._begun: Counter[str] = Counter()
        self._since = clock()

    def follow(self, before: Node, taken_at: datetime, decisions: UnitOfWork, exchange: Exchange) -> int:
        """Apply an inventory that was just recorded. `before` is the node's state before the inventory.

        Return how many signs of other nodes were considered.
        """
        node = decisions.node(before.hostname) or before
        foreign = self._locations.elsewhere(node.node_id, sorted(one for one, _ in node.instances))
        missed = location.gone(before, node)
        unsettled = self._locations.unsettled(node.node_id)
        decisions.load([of_sign(one) for one in dict.fromkeys((*foreign, *missed, *unsettled))])
        one = _Inventory(self, before, node, taken_at, decisions, exchange)
        for server_id in foreign:
            with _by_itself(server_id):
                one.has_foreign(server_id)
        for server_id in dict.fromkeys((*missed, *unsettled)):
            with _by_itself(server_id):
                one.has_spoken_of(server_id)
        return len(foreign)

    def others(self, node_id: int, server_id: str) -> Sequence[str]:
        """Return the hostnames of other nodes that have a server; see `Locations.also_at`."""
        return self._locations.also_at(node_id, server_id)

    def inquire(self, node: Node, sign: Sign, decisions: UnitOfWork, exchange: Exchange, why: Why) -> None:
        """Have the home of a server asked whether the server leaves."""
        self._reference_requests.inquire(node, sign, decisions, exchange, why)

    def may_claim(self, hostname: str) -> bool:
        """Count a claim that a node opens; say whether the claim may be recorded now."""
        now = self._clock()
        if not timedelta(0) <= now - self._since < WITHIN:
            self._since = now
            self._begun.clear()
        self._begun[hostname] += 1
        return self._begun[hostname] <= MOST_CLAIMS

    def now(self) -> datetime:
        """Return the control plane's time."""
        return self._clock()


@contextlib.contextmanager
def _by_itself(server_id: str) -> Iterator[None]:
    """Leave the sign of a server where it is if the stream of the sign, or of a node, cannot be read."""
    try:
        yield
    except StreamUnreadable as unreadable:
        log.warning("the sign of %s does not follow its server: %s", server_id, unreadable)


class _Inventory:
    """The inventory of one node, while it is applied to signs."""

    def __init__(  # noqa: PLR0913, PLR0917 - what an inventory is applied with
        self,
        following: Following,
        before: Node,
        node: Node,
        taken_at: datetime,
        decisions: UnitOfWork,
        exchange: Exchange,
    ) -> None:
        self._following = following
        self._before = before
        self._node = node
        self._taken_at = taken_at
        self._decisions = decisions
        self._exchange = exchange

    def has_foreign(self, server_id: str) -> None:
        """Handle a server of the node whose sign is on another node."""
        sign = self._decisions.sign(server_id)
        if sign is None or sign.node_id == self._node.node_id:
            return
        self._settle(sign)
        self._consider(sign, self._node)
        if server_id in self._node.leaving - self._before.leaving:
            self._is_in_transit(server_id)

    def _is_in_transit(self, server_id: str) -> None:
        """Have the home asked about a migration to this node: the node's start gate may not have asked."""
        sign = self._decisions.sign(server_id)
        if sign is None or sign.node_id == self._node.node_id:
            return
        if sign.leaving is not None:
            contest(self._node, sign, self._decisions)
        else:
            self._following.inquire(self._node, sign, self._decisions, self._exchange, Why.TRANSIT)

    def has_spoken_of(self, server_id: str) -> None:
        """Handle a server that the node no longer has or runs, or an unsettled server at its home."""
        sign = self._decisions.sign(server_id)
        if sign is None:
            return
        if sign.node_id != self._node.node_id:
            self._settle(sign)
            self._serve_others(self._decisions.sign(server_id))
            return
        self._end_leaving(sign)
        if sign.leaving is not None:
            self._consider_at(sign, sign.leaving.to_hostname)
        self._deny(sign)
        for one in sign.verdict.claims:
            self._settle(sign, one.node_id, one.by)
        self._serve_others(self._decisions.sign(server_id))

    def _serve_others(self, sign: Sign | None) -> None:
        """Consider the other nodes that may have a server, if the home has let it go or it is claimed."""
        if sign is None:
            return
        home = location.standing(self._decisions.node(sign.hostname), sign.node_id, sign.server_id)
        if not home.let_go and not sign.verdict.claims:
            return
        hostnames = (one.by for one in sign.verdict.claims)
        for hostname in dict.fromkeys((*hostnames, *self._following.others(sign.node_id, sign.server_id))):
            self._consider_at(sign, hostname)

    def _consider_at(self, sign: Sign, hostname: str) -> None:
        """Consider the node `hostname` for a sign, unless the sign has moved meanwhile."""
        node = self._decisions.node(hostname)
        current = self._decisions.sign(sign.server_id)
        if node is not None and current is not None and current.node_id == sign.node_id:
            self._consider(current, node)

    def _consider(self, sign: Sign, node: Node) -> None:
        """Move the sign to a node that takes part, or record that the node claims the server."""
        home = self._decisions.node(sign.hostname)
        at_home = location.standing(home, sign.node_id, sign.server_id)
        there = location.standing(node, node.node_id, sign.server_id)
        if node.node_id == sign.node_id or not location.takes_part(at_home, there):
            return
        now = self._following.now()
        if location.is_destination(sign, node.node_id) and location.is_early(sign, at_home, now):
            return
        others = location.Others(
            self._is_rivalled(sign, node, at_home, there),
            home is not None and home.policy.on_loss is OnLoss.FOLLOW,
        )
        grounds = location.grounds_for(sign, (node.node_id, there), at_home, others, now)
        if grounds is None:
            self._claim(sign, node)
            return
        name = names(node.instances)[sign.server_id]
        self._decisions.handle(
            ask.MoveSign(
                context=by_node(node.hostname),
                server_id=sign.server_id,
                node_id=node.node_id,
                hostname=node.hostname,
                instance_name=name,
                grounds=grounds,
            )
        )

    def _is_rivalled(
        self, sign: Sign, node: Node, at_home: location.Standing, there: location.Standing
    ) -> bool:
        """Say whether a third node takes part against `node`, and its claim is not denied."""
        denied = {one.by for one in sign.verdict.claims if one.denied}
        hostnames = {one.by for one in sign.verdict.claims}
        if at_home.let_go or not at_home.is_heard:
            hostnames.update(self._following.others(sign.node_id, sign.server_id))
        for hostname in hostnames - denied - {node.hostname, sign.hostname}:
            other = self._decisions.node(hostname)
            if other is None or other.removed:
                continue
            rival = location.standing(other, other.node_id, sign.server_id)
            if location.is_rival(sign, at_home, rival, there):
                return True
        return False

    def _claim(self, sign: Sign, node: Node) -> None:
        is_known = any(one.node_id == node.node_id for one in sign.verdict.claims)
        if is_known or not self._following.may_claim(node.hostname):
            return
        self._decisions.handle(
            ask.ClaimSign(
                context=by_node(node.hostname),
                server_id=sign.server_id,
                by_node_id=node.node_id,
                by_hostname=node.hostname,
            )
        )
        self._following.inquire(node, sign, self._decisions, self._exchange, Why.CLAIM)

    def _settle(self, sign: Sign, node_id: int | None = None, hostname: str | None = None) -> None:
        """End the claim of a node that takes no part any more, or that was removed."""
        node_id = self._node.node_id if node_id is None else node_id
        if not any(one.node_id == node_id for one in sign.verdict.claims):
            return
        home = location.standing(self._decisions.node(sign.hostname), sign.node_id, sign.server_id)
        by = self._decisions.node(hostname or self._node.hostname)
        if not location.takes_part(home, location.standing(by, node_id, sign.server_id)):
            self._decisions.handle(
                ask.SettleClaim(
                    context=by_node(self._node.hostname), server_id=sign.server_id, by_node_id=node_id
                )
            )

    def _end_leaving(self, sign: Sign) -> None:
        """End an announced migration of a server that the home still has and does not migrate out."""
        stays = location.standing(self._node, sign.node_id, sign.server_id)
        if sign.leaving is not None and not stays.let_go:
            self._decisions.handle(
                ask.EndLeaving(
                    context=by_node(self._node.hostname),
                    server_id=sign.server_id,
                    node_id=self._node.node_id,
                    taken_at=self._taken_at,
                )
            )

    def _deny(self, sign: Sign) -> None:
        """Deny the claims that were recorded `DENIED_AFTER` or longer before this inventory of the home."""
        at_home = location.standing(self._node, sign.node_id, sign.server_id)
        now = self._following.now()
        for one in sign.verdict.claims:
            opened = claims.opened_at(sign, one.node_id)
            if at_home.let_go or one.denied or opened is None or now - opened < DENIED_AFTER:
                continue
            self._decisions.handle(
                ask.ClaimSign(
                    context=by_node(self._node.hostname),
                    server_id=sign.server_id,
                    by_node_id=one.node_id,
                    by_hostname=one.by,
                    denied=True,
                )
            )
