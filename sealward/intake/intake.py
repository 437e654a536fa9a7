"""Processes the messages of nodes in batches: verifies reports and turns them into commands."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward import logs
from sealward.commands import messages as ask
from sealward.commands.context import SYSTEM, by_node
from sealward.commands.errors import (
    MovedAway,
    NodeWasRemoved,
    NotRegistered,
    NotSigned,
    Rejected,
    StreamUnreadable,
    UnknownGeneration,
)
from sealward.commands.writer.handler import TooMuchContention
from sealward.commands.writer.stream import of_node, of_sign
from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.message import Dropped, Later, Poison
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.signing.keys import KeyRefused
from sealward.events.store.store import StoreUnavailable
from sealward.intake.registration import registrations
from sealward.intake.registration.reference_requests import Exchange, ReferenceRequests
from sealward.intake.reports.decoding import DecodedMessage, Measured, Part, Prover, Signed, read
from sealward.intake.reports.following import Following
from sealward.intake.reports.quota import OverLogQuota, OverQuota, Quota, Spent, TooLarge, bytes_of, cost_of
from sealward.intake.reports.refusals import Refusals
from sealward.intake.reports.senders import STATES, Again, Heard, NoSender, NotNewer, WrongSender, keyid_of
from sealward.intake.reports.translation import command_for
from sealward.protocol import codec, reports
from sealward.protocol.telling import Behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.commands.writer.handler import Handler
    from sealward.commands.writer.stream import Stream
    from sealward.commands.writer.unit_of_work import UnitOfWork
    from sealward.control.unproven import Unproven
    from sealward.events.bus.message import Delivered
    from sealward.intake.reports.activity import NodeActivity
    from sealward.intake.reports.locations import Locations
    from sealward.intake.reports.refusals import Refusal
    from sealward.intake.reports.senders import LastTurns, Senders
    from sealward.intake.telling.answers import Answers
    from sealward.intake.telling.assignments import Assignments
    from sealward.intake.telling.notes import Notes


log = logging.getLogger(__name__)

ABOUT_NO_TASK: Final = contextlib.nullcontext()

Refused = (
    Rejected,
    KeyRefused,
    envelopes.EnvelopeRefused,
    envelopes.NotVerified,
    codec.ReportMalformed,
    statements.StatementRefused,
)
Unheard = (NoSender, WrongSender, NotNewer, OverQuota, OverLogQuota, TooLarge)
"""Errors for which a message is dropped and counted: no node is known to have sent it."""


@dataclass(slots=True)
class _Outcome:
    """The results of a batch: answers to the broker, and what is done once the batch is recorded."""

    answers: list[Poison | None] = field(default_factory=list)
    heard: list[reports.AnyReport] = field(default_factory=list)
    registered: dict[str, tuple[Node, str]] = field(default_factory=dict)
    """By hostname a node that has registered, and the nonce of its registration."""
    recorded: set[Refusal] = field(default_factory=set)
    exchange: Exchange = field(default_factory=Exchange)
    turns: Heard = field(default_factory=lambda: Heard({}))
    behind: dict[str, Behind] = field(default_factory=dict)
    """By hostname the answer to a registration whose turn is not new."""
    unproven: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Counts of dropped messages, by the broker's user and the reason."""
    spent: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    """The costs of the messages of each of the broker's users."""
    looked_at: int = 0
    """How many signs of other nodes were considered for inventories."""

    def drop(self, message: Delivered | DecodedMessage, refused: Exception) -> Dropped:
        """Count a message that is dropped."""
        dropped = Dropped(_code(refused), str(refused) or str(type(refused).__doc__))
        self.unproven[message.sender or message.inbox or "", dropped.reason] += 1
        return dropped


class Intake:
    """Processes messages of nodes in batches.

    `activity` records the reports that were accepted. `answers` and `notes` send messages to nodes.
    `assignments` and `locations` read the projections. `clock` and `nonce` are the sources of time and
    randomness: `nonce` returns a new text that nobody can guess. `only_invited` keeps out hosts that are not
    invited.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing that a batch is decided and answered with
        self,
        handler: Handler,
        activity: NodeActivity,
        clock: Callable[[], datetime],
        *,
        answers: Answers,
        notes: Notes,
        locations: Locations,
        assignments: Assignments,
        senders: Senders,
        turns: LastTurns,
        unproven: Unproven,
        nonce: Callable[[], str],
        only_invited: bool,
    ) -> None:
        self._only_invited = only_invited
        self._senders = senders
        self._turns = turns
        self._unproven = unproven
        self._handler = handler
        self._activity = activity
        self._answers = answers
        self._clock = clock
        self._refusals = Refusals(clock)
        self._reference_requests = ReferenceRequests(assignments, notes, clock, nonce)
        self._following = Following(locations, self._reference_requests, clock)
        self._prover = Prover()
        self._quota = Quota()

    def take(self, batch: Sequence[Delivered]) -> list[Poison | None]:
        """Process messages in their order, with one append; return for each why it is poison, or None.

        Redelivery is harmless. Raises Later: then it is not known whether anything was recorded.
        """
        read = [self._read(one) for one in batch]
        try:
            _, outcome = self._handler.together(lambda decisions: self._decide(batch, read, decisions))
            self._activity.record(outcome.heard)
            self._turns.keep(outcome.turns.news)
            self._unproven.add(outcome.unproven)
            self._quota.pay(outcome.spent)
        except (StoreUnavailable, BusUnavailable, TooMuchContention) as away:
            for message, one in zip(batch, read, strict=True):
                payer = self._senders.payer(message)
                if payer is not None and not isinstance(one, OverQuota):
                    self._quota.give_back(payer, len(message.body))
            raise Later(str(away)) from away
        self._answers.take(outcome.registered, outcome.behind)
        self._refusals.remember(outcome.recorded)
        self._reference_requests.carry_out(outcome.exchange)
        return outcome.answers

    def rest(self, user: str) -> float:
        """Return for how many seconds no message of a user of the broker is processed."""
        return self._quota.rest(user)

    def _read(self, message: Delivered) -> DecodedMessage | Exception:
        """Decode a message; return it, or the error for which it is dropped.

        A message without a sender is not decoded: nobody answers for it.
        """
        try:
            payer = self._senders.payer(message)
            if payer is not None:
                self._quota.admit(payer, len(message.body))
            self._senders.vouched(message)
            said = read(message)
            self._senders.check(said)
        except (*Refused, *Unheard) as refused:
            return refused
        return said

    def _decide(
        self, batch: Sequence[Delivered], read: Sequence[DecodedMessage | Exception], decisions: UnitOfWork
    ) -> _Outcome:
        said = [one for one in read if isinstance(one, DecodedMessage)]
        decisions.load(stream for one in said for stream in _streams(one))
        claims = _claims(said, decisions)
        self._prover.prove(claims)
        outcome = _Outcome(turns=Heard(self._turns.of(_keyids(claims))))
        for message, one in zip(batch, read, strict=True):
            answer = (
                self._charge(one, decisions, outcome)
                if isinstance(one, DecodedMessage)
                else outcome.drop(message, one)
            )
            outcome.answers.append(answer)
        return outcome

    def _charge(self, one: DecodedMessage, decisions: UnitOfWork, outcome: _Outcome) -> Poison | None:
        """Process a message at its sender's expense; a heartbeat also if the sender is in debt."""
        payer = self._senders.payer(one)
        if payer is None:
            return self._hear(one, decisions, outcome)
        spent = outcome.spent[payer]
        if not isinstance(one.said, reports.Heartbeat):
            try:
                self._quota.check(payer, spent)
            except (OverQuota, OverLogQuota) as refused:
                return outcome.drop(one, refused)
        before = decisions.decided, outcome.looked_at
        answer = self._hear(one, decisions, outcome)
        events, looked_at = decisions.decided - before[0], outcome.looked_at - before[1]
        spent.work += cost_of(len(one.parts), one.said, events + looked_at)
        spent.log += bytes_of(one.size, events)
        return answer

    def _hear(self, one: DecodedMessage, decisions: UnitOfWork, outcome: _Outcome) -> Poison | None:
        """Verify a message and process its reports; return why a report of it is refused, or None."""
        said = one.said
        with logs.about(actor=f"node:{said.hostname}", task_id=getattr(said, "task_id", None)):
            try:
                node = decisions.node(said.hostname)
                self._prove(one, node, outcome)
            except Again:
                return None
            except (*Refused, *Unheard) as refused:
                if isinstance(refused, NotNewer) and isinstance(said, reports.Registration):
                    boot = outcome.turns.last(said.public_key).boot
                    outcome.behind[said.hostname] = Behind(boot, said.nonce)
                return outcome.drop(one, refused)
            if node is not None and node.removed and not isinstance(said, reports.Registration):
                return self._refuse(said, NodeWasRemoved(), decisions, outcome)
            answers = [self._act(part, one, decisions, outcome) for part in one.parts]
        return answers[0] if len(answers) == 1 else _first(answers)

    def _prove(self, one: DecodedMessage, node: Node | None, outcome: _Outcome) -> None:
        """Verify that the node's key has signed a message, and that its turn is new.

        Raises the errors in Refused and Unheard, and Again.
        """
        pem = registrations.key_of(node, one.said)
        one.signed.prove(pem)
        if not self._senders.is_put_back(one):
            outcome.turns.check(one, pem)
            if node is not None and node.public_key == pem:
                outcome.turns.note(one, pem)

    def _act(
        self,
        part: Part,
        one: DecodedMessage,
        decisions: UnitOfWork,
        outcome: _Outcome,
    ) -> Poison | None:
        report = part.report
        if isinstance(report, codec.ReportMalformed):
            return self._refuse(one.said, report, decisions, outcome)
        if isinstance(report, STATES) and self._senders.is_put_back(one):
            return outcome.drop(one, NotNewer())
        task_id = getattr(report, "task_id", None)
        with logs.about(task_id=task_id) if task_id else ABOUT_NO_TASK:
            try:
                self._carry_out(report, part.measured, one, decisions, outcome)
            except (NotSigned, UnknownGeneration, MovedAway) as late:
                log.info("%s: %s", report.hostname, late)  # revoked, ordered anew or moved meanwhile
            except Refused as refused:
                if registrations.is_of_a_stranger(report, decisions.node(report.hostname)):
                    return outcome.drop(one, refused)
                return self._refuse(report, refused, decisions, outcome)
        if isinstance(report, reports.Registration):
            outcome.turns.note(one, report.public_key)
        outcome.heard.append(report)
        return None

    def _refuse(
        self,
        said: reports.AnyReport | reports.Bundle | codec.Unread,
        refused: Exception,
        decisions: UnitOfWork,
        outcome: _Outcome,
    ) -> Poison:
        poison = _poison(refused)
        self._record(said, poison.reason, decisions, outcome)
        return poison

    def _carry_out(
        self,
        report: reports.AnyReport,
        measured: Measured | Exception | None,
        one: DecodedMessage,
        decisions: UnitOfWork,
        outcome: _Outcome,
    ) -> None:
        node = decisions.node(report.hostname)
        match report:
            case reports.Registration():
                decisions.handle(registrations.command(report, one, node, only_invited=self._only_invited))
                outcome.registered[report.hostname] = (_registered(report.hostname, decisions), report.nonce)
            case _ if node is None:
                raise NotRegistered
            case reports.Heartbeat() | reports.Progress() | reports.SetAside():
                if node.lost:
                    command = ask.RegisterNode(
                        context=by_node(node.hostname), hostname=node.hostname, public_key=node.public_key
                    )
                    decisions.handle(command)
            case reports.Wanted():
                self._reference_requests.admit(node.hostname)
                self._reference_requests.wanted(node, report, decisions, outcome.exchange)
            case reports.Leaving():
                self._reference_requests.said(report, decisions, outcome.exchange)
            case reports.Inventory():
                decisions.handle(command_for(report, measured, node))
                outcome.looked_at += self._following.follow(
                    node, report.taken_at, decisions, outcome.exchange
                )
            case _:
                decisions.handle(command_for(report, measured, node))

    def _record(
        self,
        report: reports.AnyReport | reports.Bundle | codec.Unread,
        reason: str,
        decisions: UnitOfWork,
        outcome: _Outcome,
    ) -> None:
        server_id = getattr(report, "server_id", None)
        refusal = (report.hostname, reason, server_id)
        if self._refusals.is_quiet(refusal, outcome.recorded):
            return
        command = ask.RefuseReport(
            context=SYSTEM, hostname=report.hostname, reason=reason, server_id=server_id
        )
        decisions.handle(command)
        outcome.recorded.add(refusal)


def _streams(one: DecodedMessage) -> Iterator[Stream]:
    """Yield the streams that the reports of a message are decided on."""
    yield of_node(one.said.hostname)
    for part in one.parts:
        if isinstance(part.report, reports.Measurement | reports.Failure):
            yield of_sign(part.report.server_id)


def _claims(said: Sequence[DecodedMessage], decisions: UnitOfWork) -> list[tuple[Signed, str]]:
    """Return the signatures to verify, as far as the keys are known before anything is decided."""
    keys: dict[str, str] = {}
    claims: list[tuple[Signed, str]] = []
    for one in said:
        hostname = one.said.hostname
        try:
            node = decisions.node(hostname)
        except StreamUnreadable:
            continue  # the message is dropped when it is processed
        if isinstance(one.said, reports.Registration):
            pem: str | None = one.said.public_key
            keys.setdefault(hostname, one.said.public_key)
        else:
            pem = keys.get(hostname) if node is None or not node.public_key else node.public_key
        if pem is not None:
            claims += one.claims(pem)
    return claims


def _registered(hostname: str, decisions: UnitOfWork) -> Node:
    node = decisions.node(hostname)
    if node is None:
        raise NotRegistered
    return node


def _keyids(claims: Iterable[tuple[Signed, str]]) -> set[str]:
    found = set()
    for pem in {pem for _, pem in claims}:
        with contextlib.suppress(KeyRefused):
            found.add(keyid_of(pem))
    return found


def _code(refused: Exception) -> str:
    return str(getattr(refused, "code", "report.refused"))


def _poison(refused: Exception) -> Poison:
    return Poison(_code(refused), str(refused))


def _first(answers: Sequence[Poison | None]) -> Poison | None:
    """Return the first refusal of several reports, with the number of the report."""
    for number, one in enumerate(answers, 1):
        if one is not None:
            return Poison(one.reason, f"report {number} of {len(answers)}: {one.detail}")
    return None
