"""What a start gate was told of a server that came is told again later, when the server does not come.

The attacker can read and write the queue of a node, has kept what the authority signed for that node, and has
no key of the authority. Between the two tellings the server went, and was signed anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, SERVER

from sealward.events.comparison.measurement import Measurement
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.node_agent.ledger.expected_servers import ANSWERED_WITHIN, FRESH, KEPT, ExpectedServers
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import Policies
from sealward.node_agent.ledger.references import References
from sealward.protocol.desired import Assignment
from sealward.protocol.telling import Incoming

AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
OTHER = "0000000b-0000-4000-8000-000000000000"


def sign(generation: int = 1) -> Assignment:
    """Return the sign of the server."""
    statement = Statement(
        SERVER, 7, 1, generation, NOON, Measurement("libvirt-domain/3", {"boot": "aa"}, {}, "libvirt 9"), b""
    )
    envelope = msgspec.json.encode(envelopes.sign(statement.envelope(), AUTHORITY).to_json()).decode()
    return Assignment(7, SERVER, generation, generation, "true", (), envelope)


class Gate:
    """The newcomers of a node that asks; what it asked with is kept, and `answer` says what it is told."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.nonces: list[str] = []
        self.answer: Assignment | None = None
        self.is_answered = True
        self.expected_servers = ExpectedServers(Policies(self.ledger), self._ask, lambda: self.now)
        self.expected_servers.begin(References(self.ledger, [AUTHORITY.public_key()]))

    def _ask(self, server_id: str, nonce: str) -> bool:
        self.nonces.append(nonce)
        if self.is_answered:
            self.expected_servers.take(Incoming(server_id, self.answer, nonce))
        return True

    def generations(self) -> list[int]:
        """Return the generations that the start gate finds."""
        return [one.generation for one in self.ledger.entries()]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Yield the gate of a node that the server came to, as of generation 1, and left again."""
    made = Gate(tmp_path)
    made.answer = sign()
    assert made.expected_servers.inquire(SERVER, 1.0)
    assert made.generations() == [1]
    made.now += KEPT + 1
    made.expected_servers.forget()
    assert made.generations() == []
    made.answer = None
    yield made
    made.ledger.close()


def test_what_was_told_of_a_server_is_not_told_again(gate: Gate) -> None:
    """Nobody asks: the reference of then does not come back, and the gate asks when the server starts."""
    gate.expected_servers.take(Incoming(SERVER, sign(), gate.nonces[0]))

    assert gate.generations() == []
    assert gate.expected_servers.inquire(SERVER, 1.0)
    assert len(gate.nonces) == 2
    assert gate.generations() == []


def test_nor_is_it_in_the_moment_in_which_the_gate_asks(gate: Gate) -> None:
    """The attacker sees the question, and is faster than the control plane."""
    gate.is_answered = False
    assert not gate.expected_servers.inquire(SERVER, 0.01)
    gate.expected_servers.take(Incoming(SERVER, sign(), gate.nonces[0]))
    gate.expected_servers.take(Incoming(SERVER, sign()))
    assert gate.generations() == []
    gate.expected_servers.take(Incoming(SERVER, sign(generation=2), gate.nonces[1]))
    assert gate.generations() == [2]


def test_an_answer_is_about_the_server_that_was_asked_about(gate: Gate) -> None:
    """And comes in time: what is held back for longer was true once."""
    gate.is_answered = False
    assert not gate.expected_servers.inquire(OTHER, 0.01)
    gate.expected_servers.take(Incoming(SERVER, sign(), gate.nonces[-1]))
    assert not gate.expected_servers.inquire(SERVER, 0.01)
    gate.now += ANSWERED_WITHIN + 1
    gate.expected_servers.take(Incoming(SERVER, sign(), gate.nonces[-1]))

    assert gate.generations() == []
    assert ANSWERED_WITHIN > FRESH
    assert len(set(gate.nonces)) == len(gate.nonces)
