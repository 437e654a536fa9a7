"""Who is given the reference of a server that is on another node: the destination of an announced migration.

A node whose start gate asks about a server of another node is given nothing by itself. The home of the
server is asked whether libvirt migrates the server out now; when the home says so, the migration is
announced for the node that asked, and that node is given the reference and the policy. Every other node
is told that no sign comes to it, in the same words as about a server that nobody signed.
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
    from sealward.intake.telling.notes import Notes
    from sealward.protocol import reports
    from sealward.protocol.desired import Assignment

    SignOf = Callable[[str], Assignment | None]

log = logging.getLogger(__name__)

AT_MOST: Final = 1000
"""Questions of one node within `WITHIN`: more than all servers of a large node that starts."""
MOST_REFUSED: Final = 20
"""Questions of one node within `WITHIN` about servers that do not come to it: each costs a home an answer."""
WITHIN: Final = timedelta(minutes=1)
ASKED_FOR: Final = timedelta(seconds=10)
"""For how long the answer of a home is waited for, and a home is not asked the same again."""
ASKED_ANEW: Final = timedelta(seconds=1)
"""A home is asked the same on behalf of the same node no sooner than that, unless it has answered."""
REMEMBERED: Final = 10_000
"""Questions to homes that are remembered at once."""


class Why(Enum):
    """Why the home of a server is asked whether the server leaves it."""

    GATE = "gate"
    """The start gate of another node asks for the reference."""
    TRANSIT = "transit"
    """Another node has the server, paused for a migration: its start gate may not have asked."""
    CLAIM = "claim"
    """Another node says that it runs the server."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the home of a server, on behalf of another node, `hostname`; see Inquiry."""

    nonce: str
    server_id: str
    home: str
    hostname: str
    node_id: int
    why: Why
    at: datetime
    answers: str = ""
    """The nonce that a start gate has asked with."""

    @property
    def question(self) -> tuple[str, str, Why]:
        """Return what makes another question the same one."""
        return self.hostname, self.server_id, self.why


class Answer(NamedTuple):
    """Whether a start gate is given the reference that it asked for, with the nonce that it `answers`."""

    hostname: str
    server_id: str
    answers: str
    is_given: bool


@dataclass(slots=True)
class Exchange:
    """What one batch of reports leads to, once it is recorded.

    `ask` are questions to homes, `answered` the nonces of questions that are answered; `tell` are answers to
    start gates.
    """

    ask: dict[tuple[str, str, Why], Asked] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    tell: list[Answer] = field(default_factory=list)


class Introductions:
    """Asks homes and answers start gates, by `notes`; `sign_of` reads what is in force for a server.

    For one thread.
    """

    def __init__(
        self, sign_of: SignOf, notes: Notes, clock: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._sign_of = sign_of
        self._notes = notes
        self._clock = clock
        self._nonce = nonce
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._open: OrderedDict[tuple[str, str, Why], Asked] = OrderedDict()
        """The last question of each kind that its home has not answered."""
        self._refused: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._counts: Counter[tuple[str, bool]] = Counter()
        """By node and whether it was refused: questions since `_since`."""
        self._since = clock()

    def admit(self, hostname: str) -> None:
        """Count a question. Raises TooManyQuestions."""
        if self._is_one_too_many(hostname) or self._counts[hostname, True] >= MOST_REFUSED:
            raise TooManyQuestions

    def _is_one_too_many(self, hostname: str) -> bool:
        """Count a question; say whether the node has asked too many of them."""
        now = self._clock()
        if not timedelta(0) <= now - self._since < WITHIN:
            self._since = now
            self._counts.clear()
        self._counts[hostname, False] += 1
        return self._counts[hostname, False] > AT_MOST

    def wanted(self, node: Node, asked: reports.Wanted, decisions: UnitOfWork, exchange: Exchange) -> None:
        """Take the question of a start gate. Raises AnnouncedToAnother."""
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
        """Have the home of a server asked whether it leaves; say whether the home can and need be asked.

        `answers` is the nonce that a start gate has asked with.
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
        """Take the answer of a home. An answer to no question that is open is late, and means nothing."""
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
        """Have an announcement contested by a node on whose behalf the home was asked at the same time."""
        sign, node = decisions.sign(asked.server_id), decisions.node(asked.hostname)
        if sign is not None and node is not None and asked.why is not Why.CLAIM:
            contest(node, sign, decisions)

    def carry_out(self, exchange: Exchange) -> None:
        """Ask and tell, now that all is recorded."""
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
        """Take the word of a home that a server does not leave it."""
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
        """Return what a start gate is told. Raises StoreUnavailable."""
        sign = self._sign_of(answer.server_id) if answer.is_given else None
        if sign is not None and sign.envelope is None:
            sign = None
        what = "it" if sign else "nothing"
        log.info("%s asked for %s, and is given %s", answer.hostname, answer.server_id, what)
        return Incoming(answer.server_id, sign, answer.answers)


def contest(node: Node, sign: Sign, decisions: UnitOfWork) -> None:
    """Record that a node asks for a server whose migration is announced for another node."""
    decisions.handle(
        ask.ContestLeaving(
            context=by_node(node.hostname),
            server_id=sign.server_id,
            by_node_id=node.node_id,
            by_hostname=node.hostname,
        )
    )


def _may_know(sign: Sign, node_id: int) -> bool:
    """Say whether a node is the home of a server, or the uncontested destination of its migration."""
    if sign.node_id == node_id:
        return True
    return location.is_destination(sign, node_id) and not sign.verdict.claims


def _answer(asked: Asked, *, is_given: bool) -> Iterable[Answer]:
    """Return what the start gate is told, if it was a start gate that asked."""
    if asked.why is not Why.GATE:
        return []
    return [Answer(asked.hostname, asked.server_id, asked.answers, is_given)]


def _refuse(asked: Asked, refused: ReportRefused, decisions: UnitOfWork) -> None:
    """Record that a node asked for a server that does not come to it."""
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
