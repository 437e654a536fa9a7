"""An agent whose registrations are not answered: it says so, with its key, and asks less and less often."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.events.signing.keyid import keyid
from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.messages.registration import LONGEST, UNHEARD, Registration

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def registration() -> Registration:
    """Return the registration of a new agent."""
    return Registration("kvm9", Keyring(KEY))


def ask(registration: Registration, times: int) -> str:
    """Have questions sent; return the nonce of the last one."""
    nonce = ""
    for _ in range(times):
        nonce = registration.ask(NOON)[0].nonce
        registration.sent()
    return nonce


def test_an_agent_asks_less_and_less_often(registration: Registration) -> None:
    """The first questions come soon; then each wait is twice as long, up to a minute."""
    waits = []
    for _ in range(9):
        ask(registration, 1)
        waits.append(registration.patience)

    assert waits == [UNHEARD] * 3 + [10, 20, 40, LONGEST, LONGEST, LONGEST]


def test_an_agent_that_is_not_answered_says_so(
    registration: Registration, caplog: pytest.LogCaptureFixture
) -> None:
    """With its key, its name, and the command that lets it in; not at the first questions."""
    ask(registration, 3)
    assert caplog.text == ""
    ask(registration, 1)

    assert keyid(KEY.public_key()) in caplog.text
    assert "sealward node enroll kvm9" in caplog.text
    assert "3 registrations" in caplog.text


def test_an_answer_begins_anew(registration: Registration, caplog: pytest.LogCaptureFixture) -> None:
    """After an answer the next questions come soon, and without a warning."""
    registration.answered(ask(registration, 6))
    caplog.clear()
    ask(registration, 3)

    assert (registration.patience, caplog.text) == (UNHEARD, "")


def test_a_question_that_does_not_reach_the_broker_does_not_count(registration: Registration) -> None:
    """When the broker is back, the agent asks soon, however long the broker was away."""
    for _ in range(20):
        registration.ask(NOON)

    assert registration.patience == UNHEARD
