"""What an agent keeps of servers that may be coming, and how long its gate waits to be told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, SERVER

from sealward.events.comparison.measurement import Measurement
from sealward.events.policy import OnDoubt, ServerPolicy
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.node_agent.ledger.expected_servers import FRESH, KEPT, SPARED, ExpectedServers
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import Policies
from sealward.node_agent.ledger.references import References, entries
from sealward.protocol.desired import Assignment
from sealward.protocol.telling import Incoming

AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
MEASUREMENT = Measurement("libvirt-domain/3", {"boot": "aa"}, {}, "libvirt 9.0.0")
STRICT = ServerPolicy(on_start=OnDoubt.REFUSE)
LONG = 20.0
"""Seconds that nobody has to wait."""


def sign(generation: int = 1, key: Ed25519PrivateKey = AUTHORITY, server_id: str = SERVER) -> Assignment:
    """Return a sign that is in force, countersigned with a key."""
    statement = Statement(server_id, 7, 1, generation, NOON, MEASUREMENT, b"")
    envelope = msgspec.json.encode(envelopes.sign(statement.envelope(), key).to_json()).decode()
    return Assignment(7, server_id, generation, generation, "true", (), envelope, STRICT, 3)


def said(assignment: Assignment | None, server_id: str = SERVER, answers: str = "") -> Incoming:
    """Return what the control plane says, to a question with that nonce."""
    return Incoming(server_id, assignment, answers)


@dataclass
class Known:
    """An agent's newcomers with a clock of their own; `asked` are the questions, which `answer` answers."""

    ledger: Ledger
    now: float = 100.0
    asked: list[str] = field(default_factory=list)
    answer: Incoming | None = None
    is_reachable: bool = True
    nonce: str = ""
    """That of the last question."""

    def __post_init__(self) -> None:
        self.policies = Policies(self.ledger)
        self.references = References(self.ledger, [AUTHORITY.public_key()])
        self.expected_servers = ExpectedServers(self.policies, self._ask, lambda: self.now)
        self.expected_servers.begin(self.references)

    def generations(self) -> list[int]:
        """Return the generations of the references in the ledger."""
        return [one.generation for one in self.ledger.entries()]

    def take(self, incoming: Incoming) -> None:
        """Take what the control plane says to a question of which nobody waits for the answer any more."""
        nonce = self.expected_servers._question(incoming.server_id)
        self.expected_servers.take(msgspec.structs.replace(incoming, answers=nonce))

    def reply(self, incoming: Incoming) -> None:
        """Take what the control plane says to the last question."""
        self.expected_servers.take(msgspec.structs.replace(incoming, answers=self.nonce))

    def _ask(self, server_id: str, nonce: str) -> bool:
        self.asked.append(server_id)
        self.nonce = nonce
        if self.answer is not None:
            self.reply(self.answer)
        return self.is_reachable


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    """Yield newcomers of a node that has no servers."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Known(ledger)
    ledger.close()


def test_a_reference_that_was_asked_for_is_in_the_ledger_and_nowhere_else(known: Known) -> None:
    """With the server's own policy; what an agent measures is as before."""
    known.answer = said(sign())

    assert known.expected_servers.inquire(SERVER, LONG)
    assert known.generations() == [1]
    assert known.policies.of(SERVER).policy.on_start is OnDoubt.REFUSE
    assert list(known.references) == []


def test_that_nobody_signed_it_is_an_answer(known: Known) -> None:
    """And nothing is kept."""
    known.answer = said(None)

    assert known.expected_servers.inquire(SERVER, LONG)
    assert known.generations() == []


def test_an_answer_in_time_ends_the_wait(known: Known) -> None:
    """It comes in another thread."""
    timer = threading.Timer(0.05, known.reply, [said(sign())])
    timer.start()

    assert known.expected_servers.inquire(SERVER, LONG)
    timer.join()


def test_silence_is_no_answer(known: Known) -> None:
    """Of control plane, broker or agent; a late answer counts from then on."""
    assert not known.expected_servers.inquire(SERVER, 0.01)
    known.is_reachable = False
    assert not known.expected_servers.inquire(SERVER, LONG)
    known.take(said(sign()))
    assert known.expected_servers.inquire(SERVER, 0.0)


def test_after_silence_nobody_waits_for_a_while(known: Known) -> None:
    """A node that boots without a control plane does not wait at each start; an answer ends that."""
    known.expected_servers.inquire(SERVER, 0.01)
    assert not known.expected_servers.inquire("another", LONG)
    known.now += SPARED
    timer = threading.Timer(0.05, known.reply, [said(None, "another")])
    timer.start()
    assert known.expected_servers.inquire("another", LONG)
    timer.join()


def test_an_answer_is_asked_for_again_when_it_is_old_or_must_be_new(known: Known) -> None:
    """A server that did not come may be signed anew before it is moved again."""
    known.answer = said(sign())
    known.expected_servers.inquire(SERVER, LONG)
    known.expected_servers.inquire(SERVER, LONG)
    assert len(known.asked) == 1
    known.answer = said(sign(generation=2))
    known.now += 0.5
    known.expected_servers.inquire(SERVER, LONG, anew=True)
    assert known.generations() == [2]
    known.now += 2 * FRESH
    known.expected_servers.inquire(SERVER, LONG)
    assert len(known.asked) == 3


def test_an_older_generation_does_not_come_back(known: Known) -> None:
    """What was delivered late changes nothing."""
    known.take(said(sign(generation=2)))
    known.take(said(sign(generation=1)))

    assert known.generations() == [2]


def test_what_the_authority_did_not_sign_is_no_answer(known: Known) -> None:
    """Nor what is said before the agent knows the authority, nor about another server."""
    known.answer = said(sign(key=STRANGER))
    assert not known.expected_servers.inquire(SERVER, 0.01)
    unready = ExpectedServers(known.policies, lambda *_: True)
    unready.take(said(sign(), answers=unready._question(SERVER)))
    assert not unready.inquire(SERVER, 0.01)
    assert known.generations() == []


def test_a_nodes_own_servers_are_not_asked_for(known: Known) -> None:
    """What is said of them otherwise changes nothing."""
    known.references.replace_all(entries([sign()]))
    assert known.expected_servers.inquire(SERVER, LONG)
    known.take(said(sign(generation=2)))

    assert known.asked == []
    assert known.generations() == [1]


def test_a_telling_leaves_those_that_may_be_coming(known: Known) -> None:
    """Another server's move has everything told anew in between."""
    known.take(said(sign()))
    known.references.replace_all([], entries(known.expected_servers.expected()))

    assert known.generations() == [1]
    assert list(known.references) == []


def test_a_server_that_came_and_went_leaves_nothing(known: Known) -> None:
    """Told of it and then no longer, within moments."""
    known.take(said(sign()))
    for signs in ([sign()], []):
        known.references.replace_all(entries(signs), entries(known.expected_servers.expected()))
        known.expected_servers.begin(known.references)

    assert known.generations() == []


def test_a_server_that_does_not_come_is_forgotten(known: Known) -> None:
    """Reference and policy; one that came stays."""
    other = "0000000b-0000-4000-8000-000000000000"
    known.take(said(sign()))
    known.take(said(sign(server_id=other), other))
    known.expected_servers.forget()
    assert len(known.generations()) == 2
    known.references.replace_all(entries([sign(server_id=other)]), entries(known.expected_servers.expected()))
    known.now += KEPT + 1
    known.expected_servers.forget()

    assert [one.server_id for one in known.ledger.entries()] == [other]
    assert known.policies.of(SERVER).policy.on_start is OnDoubt.OBSERVE
    assert known.policies.of(other).policy.on_start is OnDoubt.REFUSE
