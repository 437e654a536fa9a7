"""The door for nodes: verifies what they report and turns it into commands."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from sealward import logs
from sealward.commands import messages as ask
from sealward.commands import place
from sealward.commands.batch import of_node, of_sign
from sealward.commands.errors import (
    MovedAway,
    NodeWasRemoved,
    NotRegistered,
    NotSigned,
    Rejected,
    UnknownGeneration,
)
from sealward.commands.handler import TooMuchContention
from sealward.events import envelope as envelopes
from sealward.events import statement as statements
from sealward.events.bus import BusUnavailable, Later, Poison
from sealward.events.keys import KeyRefused
from sealward.events.store import StoreUnavailable
from sealward.intake import meaning
from sealward.intake.introductions import Introductions
from sealward.intake.reading import Measured, Part, Prover, Said, Signed, read
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealward.commands.batch import Batch, Stream
    from sealward.commands.handler import Handler
    from sealward.commands.node import Node
    from sealward.events.bus import Bus, Delivered
    from sealward.intake.introductions import SignOf

    Refusal = tuple[str, str, str | None]
    Desire = Callable[[Node], reports.Desired]
    Elsewhere = Callable[[int, Sequence[str]], Sequence[str]]
    AlsoAt = Callable[[int, str], str | None]

log = logging.getLogger(__name__)

QUIET_FOR: Final = timedelta(seconds=60)
"""A refusal for the same reason is recorded once in this time, so that garbage cannot flood the log."""
REMEMBERED: Final = 10_000

Refused = (
    Rejected,
    KeyRefused,
    envelopes.EnvelopeRefused,
    envelopes.NotVerified,
    reports.ReportMalformed,
    statements.StatementRefused,
)


@dataclass(slots=True)
class _Outcome:
    """What came of a batch: what to answer, whom to tell everything, which refusals are on record."""

    answers: list[Poison | None] = field(default_factory=list)
    heard: list[reports.AnyReport] = field(default_factory=list)
    registered: dict[str, tuple[Node, str]] = field(default_factory=dict)
    """By hostname the node and the nonce that it registered with, empty where it did not."""
    recorded: set[Refusal] = field(default_factory=set)
    questions: list[reports.Wanted] = field(default_factory=list)

    def tell(self, node: Node, nonce: str = "") -> None:
        """Have a node told everything; one that asked keeps the nonce that it asked with."""
        _, asked = self.registered.get(node.hostname, (node, ""))
        self.registered[node.hostname] = (node, nonce or asked)


class Intake:
    """Takes reports in batches. `desire` tells what a node has to know, `heard` learns who is there.

    `sign_of` is what is known of a server that a node's start gate asks about. `elsewhere` names those of a
    node's servers that have their signs on other nodes, `also_at` another node that has a server. Both may be
    behind: what they do not know yet, they know when a node says its inventory again.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, and whom it tells
        self,
        handler: Handler,
        heard: Callable[[Sequence[reports.AnyReport]], None],
        bus: Bus,
        desire: Desire,
        clock: Callable[[], datetime],
        *,
        elsewhere: Elsewhere,
        also_at: AlsoAt,
        sign_of: SignOf,
    ) -> None:
        self._handler = handler
        self._heard = heard
        self._bus = bus
        self._desire = desire
        self._elsewhere = elsewhere
        self._also_at = also_at
        self._clock = clock
        self._introductions = Introductions(sign_of, bus, clock)
        self._refusals: OrderedDict[Refusal, datetime] = OrderedDict()
        self._prover = Prover()

    def take(self, batch: Sequence[Delivered]) -> list[Poison | None]:
        """Act on reports in their order, with one append for all; return why each is poison, or None.

        Redelivery is harmless. Raises Later: then it is not known whether anything was done.
        """
        said = [_read(one.body) for one in batch]
        try:
            _, outcome = self._handler.together(lambda decisions: self._decide(said, decisions))
            self._heard(outcome.heard)
            for node, nonce in outcome.registered.values():
                self._tell(node, nonce)
        except (StoreUnavailable, BusUnavailable, TooMuchContention) as away:
            raise Later(str(away)) from away
        self._introductions.answer(outcome.questions)
        self._remember(outcome.recorded)
        return outcome.answers

    def _decide(self, batch: Sequence[Said | Poison], decisions: Batch) -> _Outcome:
        said = [one for one in batch if isinstance(one, Said)]
        decisions.load(stream for one in said for stream in _streams(one))
        self._prover.prove(_claims(said, decisions))
        outcome = _Outcome()
        for one in batch:
            outcome.answers.append(one if isinstance(one, Poison) else self._hear(one, decisions, outcome))
        return outcome

    def _hear(self, one: Said, decisions: Batch, outcome: _Outcome) -> Poison | None:
        """Verify an envelope and act on all that it holds; return why some of it is refused."""
        said = one.said
        with logs.about(actor=f"node:{said.hostname}", task_id=getattr(said, "task_id", None)):
            try:
                one.signed.prove(_key(decisions.node(said.hostname), said))
            except Refused as refused:
                return self._refuse(said, refused, decisions, outcome)
            answers = [self._act(part, said, decisions, outcome) for part in one.parts]
        return answers[0] if len(answers) == 1 else _first(answers)

    def _act(
        self,
        part: Part,
        said: reports.AnyReport | reports.Bundle,
        decisions: Batch,
        outcome: _Outcome,
    ) -> Poison | None:
        report = part.report
        if isinstance(report, reports.ReportMalformed):
            return self._refuse(said, report, decisions, outcome)
        with logs.about(actor=f"node:{report.hostname}", task_id=getattr(report, "task_id", None)):
            try:
                self._carry_out(report, part.measured, decisions, outcome)
            except (NotSigned, UnknownGeneration, MovedAway) as late:
                log.info("%s: %s", report.hostname, late)  # revoked, ordered anew or moved meanwhile
            except Refused as refused:
                return self._refuse(report, refused, decisions, outcome)
        outcome.heard.append(report)
        return None

    def _refuse(
        self,
        said: reports.AnyReport | reports.Bundle,
        refused: Exception,
        decisions: Batch,
        outcome: _Outcome,
    ) -> Poison:
        poison = _poison(refused)
        self._record(said, poison.reason, decisions, outcome)
        return poison

    def _carry_out(
        self,
        report: reports.AnyReport,
        measured: Measured | Exception | None,
        decisions: Batch,
        outcome: _Outcome,
    ) -> None:
        node = decisions.node(report.hostname)
        match report:
            case reports.Registration():
                _register(report.hostname, report.public_key, report.nonce, decisions, outcome)
            case _ if node is None:
                raise NotRegistered
            case reports.Heartbeat() | reports.Progress():
                if node.lost:
                    _register(node.hostname, node.public_key, "", decisions, outcome)
            case reports.Wanted():
                self._introductions.admit(node.hostname)
                outcome.questions.append(report)
            case reports.Inventory():
                decisions.handle(meaning.of(report, measured, node))
                self._follow(node, decisions, outcome)
            case _:
                decisions.handle(meaning.of(report, measured, node))

    def _follow(self, before: Node, decisions: Batch, outcome: _Outcome) -> None:
        """Let signs follow their servers to a node that has just said which it has, and away from it.

        A server that came here and went back before its home missed it is no news to its home: its sign goes
        back when this node says that it is gone.
        """
        node = decisions.node(before.hostname) or before
        for server_id in self._elsewhere(node.node_id, sorted(server_id for server_id, _ in node.instances)):
            _move(server_id, node, before, decisions, outcome)
        for server_id in place.gone(before, node):
            hostname = self._also_at(node.node_id, server_id)
            other = None if hostname is None else decisions.node(hostname)
            if other is not None:
                _move(server_id, other, other, decisions, outcome)

    def _tell(self, node: Node, nonce: str) -> None:
        """Route the node's events to its queue, then tell it everything."""
        queue = reports.queue_of(node.hostname)
        self._bus.bind(queue, f"#.node.{node.node_id}")
        desired = msgspec.structs.replace(self._desire(node), answers=nonce)
        self._bus.send(queue, msgspec.json.encode(desired))

    def _record(
        self, report: reports.AnyReport | reports.Bundle, reason: str, decisions: Batch, outcome: _Outcome
    ) -> None:
        server_id = getattr(report, "server_id", None)
        refusal = (report.hostname, reason, server_id)
        if refusal in outcome.recorded or self._is_quiet(refusal):
            return
        command = ask.RefuseReport(
            actor="system", hostname=report.hostname, reason=reason, server_id=server_id
        )
        try:
            decisions.handle(command)
        except NotRegistered:
            log.warning("%s is no registered node", report.hostname)
        outcome.recorded.add(refusal)

    def _is_quiet(self, refusal: Refusal) -> bool:
        last = self._refusals.get(refusal)
        return last is not None and self._clock() - last < QUIET_FOR

    def _remember(self, refusals: set[Refusal]) -> None:
        for one in refusals:
            self._refusals[one] = self._clock()
            self._refusals.move_to_end(one)
        while len(self._refusals) > REMEMBERED:
            self._refusals.popitem(last=False)


def _read(body: bytes) -> Said | Poison:
    try:
        return read(body)
    except Refused as refused:
        return _poison(refused)


def _streams(one: Said) -> Iterator[Stream]:
    """Return what is needed to decide on what a node said."""
    yield of_node(one.said.hostname)
    for part in one.parts:
        if isinstance(part.report, reports.Measurement | reports.Failure):
            yield of_sign(part.report.server_id)


def _claims(said: Sequence[Said], decisions: Batch) -> list[tuple[Signed, str]]:
    """Return which key must have signed what, as far as that is known before anything is decided."""
    keys: dict[str, str] = {}
    claims: list[tuple[Signed, str]] = []
    for one in said:
        hostname, node = one.said.hostname, decisions.node(one.said.hostname)
        if isinstance(one.said, reports.Registration):
            keys.setdefault(hostname, one.said.public_key)
        pem = keys.get(hostname) if node is None else node.public_key
        if pem is not None:
            claims += one.claims(pem)
    return claims


def _register(hostname: str, pem: str, nonce: str, decisions: Batch, outcome: _Outcome) -> None:
    """Take a node in (again)."""
    decisions.handle(ask.RegisterNode(actor=f"node:{hostname}", hostname=hostname, public_key=pem))
    node = decisions.node(hostname)
    if node is None:
        raise NotRegistered
    outcome.tell(node, nonce)


def _poison(refused: Exception) -> Poison:
    return Poison(str(getattr(refused, "code", "report.refused")), str(refused))


def _first(answers: Sequence[Poison | None]) -> Poison | None:
    """Return the first refusal of several reports, saying which one it was."""
    for number, one in enumerate(answers, 1):
        if one is not None:
            return Poison(one.reason, f"report {number} of {len(answers)}: {one.detail}")
    return None


def _key(node: Node | None, report: reports.AnyReport | reports.Bundle) -> str:
    """Return the key (PEM) that must have signed: the registered one; at the first registration its own."""
    if isinstance(report, reports.Registration):
        return report.public_key  # another key than the registered one is refused later
    if node is None:
        raise NotRegistered
    if node.removed:
        raise NodeWasRemoved
    return node.public_key


def _move(server_id: str, node: Node, before: Node, decisions: Batch, outcome: _Outcome) -> None:
    """Let a sign follow its server to a node, if it is there now; tell both nodes."""
    sign, name = decisions.sign(server_id), dict(node.instances).get(server_id)
    if sign is None or name is None or sign.node_id == node.node_id:
        return
    home = decisions.node(sign.hostname)
    if not place.is_now_at(server_id, node, before, home):
        return
    decisions.handle(
        ask.MoveSign(
            actor=f"node:{node.hostname}",
            server_id=server_id,
            node_id=node.node_id,
            hostname=node.hostname,
            instance_name=name,
        )
    )
    for told in (node, home):
        if told is not None and not told.removed:
            outcome.tell(told)
