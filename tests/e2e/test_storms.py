"""Kill it in the middle of everything, on the real topology: what is acknowledged is true, once, and heals.

Each round is drawn from a seed: SEALWARD_STORM_SEEDS=17 replays one, 0-9 ten; .ci/run has 0-49.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amounts
import pytest
from running import until
from storm import SERVERS, Answers, Fleet, Storm, Subscriber

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events import verdict as rules
from sealward.events.base import Event, Recorded, utc_now
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.comparison.measurement import differing
from sealward.events.is_valid import IsValid
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore, StoreUnavailable
from sealward.events.verdict import UNSEALED, Verdict
from sealward.events.wire import ranges
from sealward.node_agent.hypervisor.fleet import sample_uri
from sealward.node_agent.hypervisor.hypervisor import describe
from sealward.node_agent.measuring.measure import measure
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.replay import replay
from stack.sealward import Stack

pytestmark = pytest.mark.heavy
SEEDS = amounts.seeds("SEALWARD_STORM_SEEDS", "0-2", "0-49")
AT_ONCE = 10
HEALED = 60.0
"""Seconds within which everything must be as it should be again, on a machine that has much to do."""
QUICK = {"SEALWARD_LEASE": "3", "SEALWARD_SWEEP_INTERVAL": "1", "SEALWARD_WAIT": "1"}
ORDERS = (
    of_sign.SignCreated,
    of_sign.SignUpdated,
    of_sign.SignRevoked,
    of_sign.SignValidationRequested,
    of_node.NodeActivated,
    of_node.NodeDeactivated,
)


@dataclass(frozen=True)
class Place:
    """What all rounds share: one stack, its log and rows, a subscriber that was there from the beginning."""

    stack: Stack
    fleet: Fleet
    store: EventStore
    projections: Projections
    subscriber: Subscriber
    begun_at: int
    read: list[Recorded] = field(default_factory=list)

    def log(self) -> list[Recorded]:
        """Return the whole log, of which only what is new is read."""
        while batch := self.store.follow(self.read[-1].position if self.read else 0, 5000):
            self.read.extend(batch)
        return self.read


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Yield the running topology."""
    folder = Path(tempfile.mkdtemp(prefix="sw-"))
    folder.chmod(0o755)
    fleet = Fleet(folder / "fleet.xml", Path(sample_uri().removeprefix("test://")).read_text())
    fleet.write()
    stack = Stack(folder, QUICK | {"SEALWARD_LIBVIRT_URI": fleet.uri})
    try:
        stack.start()
        until(lambda: len(stack.ask("GET", "/v1/server")[1]["servers"]) == len(SERVERS), 30)
        store, projections = (
            postgres(stack.postgres.url()),
            Projections(PostgresBackend(stack.postgres.url())),
        )
        subscriber = Subscriber(stack.rabbitmq.url)
        subscriber.start()
        yield Place(stack, fleet, store, projections, subscriber, store.head())
        subscriber.stop()
        projections.close()
        store.close()
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def seeds() -> list[list[int]]:
    """Return the seeds, so many to a test."""
    return [list(SEEDS[at : at + AT_ONCE]) for at in range(0, len(SEEDS), AT_ONCE)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("some", seeds(), ids=lambda some: f"seeds-{some[0]}-{some[-1]}")
def test_storms_end_well(place: Place, some: list[int]) -> None:
    """Acknowledged is logged once, the exchange has it in order, rows are a rebuild's, no verdict lies."""
    for seed in some:
        storm = Storm(place.stack, place.fleet, seed)
        before = place.store.head()
        try:
            answers = storm.rage()
            heals(place)
            commands(place, before, answers)
            subscribed(place)
            assert replay(place.store, place.projections, lambda _: None).differences == ()
            verdicts(place)
            servers(place)
        except Exception as failed:  # noqa: BLE001 - whatever it is, the seed must be told
            told = "\n".join((*storm.story, *dead(place)))
            pytest.fail(
                f"{told}\n{type(failed).__name__}: {failed}\n"
                f"SEALWARD_STORM_SEEDS={seed} python -m pytest tests/e2e/test_storms.py"
            )


def test_the_command_says_that_all_rows_are_right(place: Place) -> None:
    """`sealward replay` beside everything that runs: no differences."""
    done = subprocess.run(
        [sys.executable, "-m", "sealward", "replay"],
        env=os.environ | {"SEALWARD_DATABASE_URL": place.stack.postgres.url()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.rpartition(": ")[2]) == (0, "0 differences\n"), done.stderr


def test_nothing_that_was_said_was_refused(place: Place) -> None:
    """Messages came late, twice or out of order, and no message lies with the dead letters."""
    with DeadLetters(place.stack.rabbitmq.url) as letters:
        assert [(one.queue, one.reason, one.detail) for one in letters.all()] == []


def dead(place: Place) -> list[str]:
    """Return which processes died by themselves, each with the end of its log."""
    return [
        f"{name} ended with {process.returncode}: {place.stack.log(name)[-2000:]}"
        for name, process in place.stack.processes.items()
        if process.poll() is not None
    ]


def heals(place: Place) -> None:
    """Wait until nothing is waited for: the node looks, every order is sealed, every task has ended."""
    stack = place.stack
    until(lambda: stack.ask("POST", "/v1/sign/node/1/action", {"action": "activate"})[0] == 200, HEALED)
    until(lambda: waiting(place) == [], HEALED)
    reached = place.store.head()
    until(lambda: reached in place.subscriber.positions, HEALED)
    until(lambda: stack.ask("GET", "/v1/node/1")[1].get("node", {}).get("reachable", False), HEALED)


def waiting(place: Place) -> list[str]:
    """Return what has not ended."""
    try:
        return _waiting(place)
    except StoreUnavailable:
        return ["the store"]


def _waiting(place: Place) -> list[str]:
    with place.projections.snapshot() as tables:
        behind = place.projections.position(tables) < place.store.head()
        signs = place.projections.signs.page(tables, now=utc_now())
        tasks = place.projections.tasks.waiting(tables, 1)
    unsealed = [f"{row.server_id} {row.ordered}" for row in signs if row.ordered > row.sealed]
    return [*unsealed, *(f"{one.name} {one.state}" for one in tasks), *(["rows"] if behind else [])]


def commands(place: Place, before: int, answers: Answers) -> None:
    """What was acknowledged is in the log once, unanswered at most once, refused never; no task is twice."""
    log = [one.event for one in place.log() if one.position > before]
    written = Counter(one.global_request_id for one in log if isinstance(one, ORDERS))
    assert [one for one in answers.acknowledged if written[one] != 1] == []
    assert [one for one in answers.unknown if written[one] > 1] == []
    assert [one for one in answers.refused if written[one]] == []
    tasks = Counter(one.task_id for one in log if isinstance(one, ORDERS))
    assert [task_id for task_id, times in tasks.items() if times > 1] == []


def subscribed(place: Place) -> None:
    """The subscriber has had every position, and had each for the first time after the one before it."""
    first = list(dict.fromkeys(place.subscriber.positions))
    logged = [one.position for one in place.log() if one.position > place.begun_at]
    had = [position for position in first if position > place.begun_at]
    assert had[: len(logged)] == logged[: len(had)]
    assert had == sorted(had)


def verdicts(place: Place) -> None:
    """What GET says is what the log says by the rules alone."""
    for server_id in SERVERS:
        until(lambda server_id=server_id: is_what_the_log_says(place, server_id), 10)  # type: ignore[misc]


def is_what_the_log_says(place: Place, server_id: str) -> bool:
    """Compare an answer with the log: before or after it, for the node looks on."""
    before = folded(place, server_id)
    status, answer = place.stack.ask("GET", f"/v1/sign/{server_id}/verdict", api="api-2")
    said: tuple[Any, ...] | None = None
    if status == 200:
        known = answer["verdict"]
        said = (known["is_valid"], tuple(known["reasons"]), known["generation"])
    return said in (before, folded(place, server_id))


def folded(place: Place, server_id: str) -> tuple[Any, ...] | None:
    """Return is_valid, reasons and generation as the log has them now; None without a sign."""
    sign_id, generation, verdict = 0, 0, UNSEALED
    for one in place.log():
        event = one.event
        if getattr(event, "server_id", server_id) != server_id:
            continue
        match event:
            case of_sign.SignCreated():
                sign_id, generation, verdict = event.sign_id, 0, UNSEALED
            case of_sign.SignRevoked():
                sign_id = 0
            case of_sign.SignSealed():
                generation = event.generation
            case _ if sign_id:
                verdict = after(verdict, event, sign_id)
    if not sign_id:
        return None
    now = rules.at(verdict, utc_now())
    return now.is_valid.value, now.reasons, generation


def after(verdict: Verdict, event: Event, sign_id: int) -> Verdict:
    """Return a verdict after a fact about its sign or its node."""
    match event:
        case of_sign.SignValidated():
            return rules.recorded(verdict, event)
        case of_node.NodeLost():
            return rules.withheld(verdict, "node-lost", event.timestamp)
        case of_node.NodeDeactivated():
            return rules.withheld(verdict, "node-deactivated", event.timestamp)
        case of_node.InstanceLeft():
            return rules.withheld(verdict, "instance-left", event.timestamp)
        case of_node.NodeSwept():
            return swept(verdict, event, sign_id)
    return verdict


def swept(verdict: Verdict, event: of_node.NodeSwept, sign_id: int) -> Verdict:
    """Return a verdict after a sweep."""
    if any(sign_id in span for span in ranges.parse(event.vouched)):
        return rules.vouched(verdict, event.started_at, event.fresh_until)
    for one in event.withheld:
        if any(sign_id in span for span in ranges.parse(one.sign_ids)):
            return rules.withheld(verdict, one.reason, event.started_at)
    return verdict


def servers(place: Place) -> None:
    """Every signed server reads what it is: equal to its reference or not."""
    until(lambda: wrong(place) == [], HEALED)


def wrong(place: Place) -> list[str]:
    """Return the servers that read otherwise than they are."""
    with place.projections.snapshot() as tables:
        rows = place.projections.signs.page(tables, now=utc_now())
        sealed = {row.server_id: place.projections.envelopes.one(tables, row.server_id) for row in rows}
    found = []
    for row in rows:
        if (seal := sealed[row.server_id]) is None:
            found.append(f"{row.server_id} has no reference")
            continue
        envelope = envelopes.parse(seal)
        reference = statements.parse(envelope.payload, envelope.payload_type).measurement
        xml = describe(place.fleet.uri, row.server_id)
        changed = differing(reference, measure(xml.config, xml.live, xml.hypervisor).measurement)
        expected = IsValid.FALSE if changed else IsValid.TRUE
        if row.verdict_at(utc_now()).is_valid is not expected:
            found.append(f"{row.server_id} reads {row.verdict} and not {expected}")
    return found
