"""Which answers an agent takes as its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.messages.registration import Registration

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def asked(times: int) -> tuple[Registration, list[str]]:
    """Return an agent's registration that was asked so often, and the nonces."""
    registration = Registration("kvm1", Keyring(Ed25519PrivateKey.generate()))
    reports = [registration.ask(NOON + timedelta(seconds=second))[0] for second in range(times)]
    return registration, [one.nonce for one in reports]


def test_what_nobody_asked_for_is_no_answer() -> None:
    """Neither while this agent waits nor later: of a move it is told that it has to ask."""
    registration, (nonce,) = asked(1)
    assert registration.is_answered_by(nonce)
    assert not registration.is_answered_by("")

    registration.answered(nonce)
    assert not registration.is_answered_by("")
    assert not registration.waits


def test_the_answer_to_an_earlier_question_may_say_more() -> None:
    """Of two questions the first is answered first; what a move adds may come with the second answer."""
    registration, (first, second) = asked(2)
    registration.answered(first)

    assert registration.is_answered_by(second)


def test_the_answer_to_the_agent_before_is_not_taken() -> None:
    """What that one heard after it had asked is gone with it."""
    _, (other, *_) = asked(1)
    registration = Registration("kvm1", Keyring(Ed25519PrivateKey.generate()))
    registration.ask(NOON + timedelta(hours=1))

    assert not registration.is_answered_by(other)
