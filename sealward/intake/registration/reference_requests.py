"""Requests of start gates for the references of servers that are on other nodes.

A request alone gives a node nothing. The control plane asks the home of the server, by an inquiry, whether
libvirt migrates the server out now. If the home says so, the migration is announced for the requesting node,
and that node gets the reference and the policy. Every other node gets the answer that no sign comes to it; it
gets the same answer about a server that is not signed.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sealward.commands import messages as ask
from sealward.commands.context import SYSTEM, by_node
from sealward.commands.errors import (
    AnnouncedToAnother,
    NotComing,
    NotSigned,
    Rejected,
    ReportRefused,
    TooManyQuestions,
    WrongNode,
)
from sealward.commands.moves import location
from sealward.protocol.telling import Incoming, Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.commands.sign_state import Sign
    from sealward.commands.writer.unit_of_work import UnitOfWork
    from sealward.intake.telling.assignments import Assignments
    from sealward.intake.telling.notes import Notes
    from sealward.protocol import reports


log = logging.getLogger(__name__)

AT_MOST: Final = 1000
"""Requests of one node within `WITHIN`: more than a large node has servers when it starts."""
MOST_REFUSED: Final = 20
"""Refused requests of one node within `WITHIN`: each request costs a home an answer."""
WITHIN: Final = timedelta(minutes=1)
ASKED_FOR: Final = timedelta(seconds=10)
"""How long the answer of a home counts. After a home's no, the same request is refused for so long."""
ASKED_ANEW: Final = timedelta(seconds=1)
"""The time between two equal inquiries on behalf of the same node, while the home has not answered."""
REMEMBERED: Final = 10_000
"""Inquiries, and refused requests, that are kept."""


class Why(Enum):
    """The reason of an inquiry."""

    GATE = "gate"
    """The start gate of another node has requested the reference."""
    TRANSIT = "transit"
    """Another node has the server, paused for a migration: its start gate may not have asked."""
    CLAIM = "claim"
    """Another node says that it runs the server."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An inquiry at `home`, on behalf of the node `hostname`."""

    nonce: str
    server_id: str
    home: str
    hostname: str
    node_id: int
    why: Why
    at: datetime
    answers: str = ""
    """The nonce of the start gate's request."""

    @property
    def question(self) -> tuple[str, str, Why]:
        """Return the key by which two inquiries are equal."""
        return self.hostname, self.server_id, self.why


class Answer(NamedTuple):
    """The answer to a start gate's request, whose nonce is `answers`."""

    hostname: str
    server_id: str
    answers: str
    is_given: bool


@dataclass(slots=True)
class Exchange:
    """The messages that follow from a batch of reports, to be sent once the batch is recorded.

    `ask` has inquiries at homes, `answered` the nonces of inquiries that were answered, and `tell` the
    answers to start gates.
    """

    ask: dict[tuple[str, str, Why], Asked] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    tell: list[Answer] = field(default_factory=list)


class ReferenceRequests:
    """Sends inquiries to homes and answers to start gates, through `notes`. For one thread.

    `assignments` reads the reference in force of a server, with its sign.
    """

    def __init__(
        self, assignments: Assignments, notes: Notes, clock: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._assignments = assignments
        self._notes = notes
        self._clock = clock
        self._nonce = nonce
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._open: OrderedDict[tuple[str, str, Why], Asked] = OrderedDict()
        """The last of equal inquiries that the home has not answered."""
        self._refused: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._counts: Counter[tuple[str, bool]] = Counter()
        """Counts of requests since `_since`, by node and whether the request was refused."""
        self._since = clock()

    def admit(self, hostname: str) -> None:
        """Count a request of a start gate. Raises TooManyQuestions."""
        if self._is_one_too_many(hostname) or self._counts[hostname, True] >= MOST_REFUSED:
            raise TooManyQuestions

    def _is_one_too_many(self, hostname: str) -> bool:
        """Count a request; say whether the node has made too many requests."""
        now = self._clock()
        if not timedelta(0) <= now - self._since < WITHIN:
            self._since = now
            self._counts.clear()
        self._counts[hostname, False] += 1
        return self._counts[hostname, False] > AT_MOST

    def wanted(self, node: Node, asked: reports.Wanted, decisions: UnitOfWork, exchange: Exchange) -> None:
        """Process the request of a start gate. Raises AnnouncedToAnother."""
        sign = decisions.sign(asked.server_id)
        no = Answer(node.hostname, asked.server_id, asked.nonce, is_given=False)
        if sign is None or sign.sealed == 0:
            exchange.tell.append(no)
        elif _may_know(sign, node.node_id):
            exchange.tell.append(no._replace(is_given=True))
        elif sign.leaving is not None:
            exchange.tell.append(no)
            contest(node, sign, decisions)
            raise AnnouncedToAnother
        elif not self.inquire(node, sign, decisions, exchange, Why.GATE, answers=asked.nonce):
            exchange.tell.append(no)

    def inquire(  # noqa: PLR0913 - on whose behalf, and why
        self,
        node: Node,
        sign: Sign,
        decisions: UnitOfWork,
        exchange: Exchange,
        why: Why,
        *,
        answers: str = "",
    ) -> bool:
        """Send an inquiry to the home of a server, unless an equal inquiry was sent a moment ago.

        Return False if the home cannot be asked, or is not asked for this reason now. `answers` is the nonce
        of the start gate's request.
        """
        now = self._clock()
        home = decisions.node(sign.hostname)
        if home is None or home.removed or home.lost or home.node_id != sign.node_id:
            return False
        if sign.verdict.claims and why is not Why.CLAIM:
            return False
        if why is Why.TRANSIT and self._is_one_too_many(node.hostname):
            return False
        refused = self._refused.get((node.hostname, sign.server_id))
        if why is Why.GATE and refused is not None and now - refused < ASKED_FOR:
            return False
        asked = Asked(
            self._nonce(), sign.server_id, home.hostname, node.hostname, node.node_id, why, now, answers
        )
        last = exchange.ask.get(asked.question) or self._open.get(asked.question)
        if last is None or last.home != asked.home or not timedelta(0) <= now - last.at < ASKED_ANEW:
            exchange.ask[asked.question] = asked
        return True

    def said(self, report: reports.Leaving, decisions: UnitOfWork, exchange: Exchange) -> None:
        """Process the answer of a home. An answer to an inquiry that is not open is ignored."""
        asked = self._asked.get(report.nonce)
        if asked is None or (asked.server_id, asked.home) != (report.server_id, report.hostname):
            return
        exchange.answered.append(asked.nonce)
        home = decisions.node(asked.home)
        if home is None or self._clock() - asked.at > ASKED_FOR:
            return
        if not report.leaving:
            self._contradict(asked, report, decisions, exchange)
            return
        try:
            decisions.handle(
                ask.AnnounceLeaving(
                    context=by_node(home.hostname),
                    server_id=asked.server_id,
                    node_id=home.node_id,
                    to_node_id=asked.node_id,
                    to_hostname=asked.hostname,
                    announced_at=report.looked_at,
                )
            )
        except AnnouncedToAnother as refused:
            self._is_second(asked, decisions)
            if asked.why is Why.GATE:
                _refuse(asked, refused, decisions)
            exchange.tell += _answer(asked, is_given=False)
        except (NotSigned, WrongNode):
            exchange.tell += _answer(asked, is_given=False)  # revoked or moved meanwhile
        else:
            exchange.tell += _answer(asked, is_given=True)

    def _is_second(self, asked: Asked, decisions: UnitOfWork) -> None:
        """Record that a second node, on whose behalf the home was asked, contests the announcement."""
        sign, node = decisions.sign(asked.server_id), decisions.node(asked.hostname)
        if sign is not None and node is not None and asked.why is not Why.CLAIM:
            contest(node, sign, decisions)

    def carry_out(self, exchange: Exchange) -> None:
        """Send the messages of a batch that is recorded."""
        for nonce in exchange.answered:
            answered = self._asked.pop(nonce, None)
            if answered is not None and self._open.get(answered.question) is answered:
                del self._open[answered.question]
        for one in exchange.ask.values():
            self._ask(one)
        for answer in exchange.tell:
            self._notes.give(answer.hostname, functools.partial(self._incoming, answer))

    def _contradict(
        self, asked: Asked, report: reports.Leaving, decisions: UnitOfWork, exchange: Exchange
    ) -> None:
        """Process the answer of a home that the server does not leave."""
        if asked.why is Why.GATE:
            self._refused[asked.hostname, asked.server_id] = self._clock()
            self._counts[asked.hostname, True] += 1
            _trim(self._refused)
            if self._counts[asked.hostname, True] <= MOST_REFUSED:
                _refuse(asked, NotComing(), decisions)
            exchange.tell += _answer(asked, is_given=False)
        elif asked.why is Why.CLAIM and report.has:
            decisions.handle(
                ask.ClaimSign(
                    context=by_node(asked.home),
                    server_id=asked.server_id,
                    by_node_id=asked.node_id,
                    by_hostname=asked.hostname,
                    denied=True,
                )
            )

    def _ask(self, asked: Asked) -> None:
        self._asked[asked.nonce] = self._open[asked.question] = asked
        _trim(self._asked)
        _trim(self._open)
        inquiry = Inquiry(asked.server_id, asked.nonce)
        self._notes.give(asked.home, lambda: inquiry)

    def _incoming(self, answer: Answer) -> Incoming:
        """Return the message that answers a start gate. Raises StoreUnavailable."""
        sign = self._assignments.sign_of(answer.server_id) if answer.is_given else None
        if sign is not None and sign.envelope is None:
            sign = None
        what = "it" if sign else "nothing"
        log.info("%s asked for %s, and is given %s", answer.hostname, answer.server_id, what)
        return Incoming(answer.server_id, sign, answer.answers)


def contest(node: Node, sign: Sign, decisions: UnitOfWork) -> None:
    """Record that a node requests a server whose migration is announced for another node."""
    decisions.handle(
        ask.ContestLeaving(
            context=by_node(node.hostname),
            server_id=sign.server_id,
            by_node_id=node.node_id,
            by_hostname=node.hostname,
        )
    )


def _may_know(sign: Sign, node_id: int) -> bool:
    """Say whether a node may have the reference: the home, or the uncontested destination of a migration."""
    if sign.node_id == node_id:
        return True
    return location.is_destination(sign, node_id) and not sign.verdict.claims


def _answer(asked: Asked, *, is_given: bool) -> Iterable[Answer]:
    """Return the answer to the start gate, if the inquiry was made for a start gate."""
    if asked.why is not Why.GATE:
        return []
    return [Answer(asked.hostname, asked.server_id, asked.answers, is_given)]


def _refuse(asked: Asked, refused: ReportRefused, decisions: UnitOfWork) -> None:
    """Record the refusal of a request."""
    command = ask.RefuseReport(
        context=SYSTEM, hostname=asked.hostname, reason=refused.code, server_id=asked.server_id
    )
    try:
        decisions.handle(command)
    except Rejected as unknown:
        log.warning("%s: %s", asked.hostname, unknown)


def _trim(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
