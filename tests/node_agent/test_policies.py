"""Policies outlive the agent, the control plane away or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from factories import SERVER

from sealward.events.policy import AS_NODE, DEFAULT, OnDoubt, OnViolation, Policy, ServerPolicy
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import NODE, Policies, Standing

STRICT = Policy(on_start=OnDoubt.REFUSE, on_violation=OnViolation.STOP, grace=5)


def test_a_node_of_which_nothing_is_known_has_the_default(tmp_path: Path) -> None:
    """Nobody set it: no event stands for it."""
    assert Policies(Ledger(tmp_path / "ledger.sqlite")).of(SERVER) == Standing(DEFAULT, None)


def test_policies_are_there_after_a_restart(tmp_path: Path) -> None:
    """With the position of the event that says what becomes of a violation."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    Policies(ledger).set_node(STRICT, 7)
    Policies(ledger).set_server(SERVER, ServerPolicy(on_violation=OnViolation.OBSERVE), 9)
    ledger.close()
    known = Policies(Ledger(tmp_path / "ledger.sqlite"))

    assert known.of("another") == Standing(STRICT, 7)
    assert known.of(SERVER) == Standing(Policy(on_start=OnDoubt.REFUSE, grace=5), 9)


def test_an_exception_about_starts_leaves_violations_to_the_node(tmp_path: Path) -> None:
    """Then it is the node's policy that asks for a reaction."""
    policies = Policies(Ledger(tmp_path / "ledger.sqlite"))
    policies.replace_all(STRICT, 7, {SERVER: (ServerPolicy(on_start=OnDoubt.OBSERVE), 9)})

    assert policies.of(SERVER) == Standing(Policy(on_violation=OnViolation.STOP, grace=5), 7)


def test_what_is_no_exception_any_more_is_gone(tmp_path: Path) -> None:
    """By its own event, by a revoked sign, or by all there is to know."""
    policies = Policies(Ledger(tmp_path / "ledger.sqlite"))
    own = ServerPolicy(grace=1)
    ends: tuple[Callable[[], None], ...] = (
        lambda: policies.set_server(SERVER, AS_NODE, 10),
        lambda: policies.forget(SERVER),
        lambda: policies.replace_all(DEFAULT, None, {SERVER: (AS_NODE, 10)}),
    )
    for number, end in enumerate(ends):
        policies.set_server(SERVER, own, number)
        before = policies.of(SERVER).policy.grace
        end()
        assert (before, policies.of(SERVER).policy.grace) == (1, DEFAULT.grace)


def test_what_only_a_later_version_knows_is_left_out(tmp_path: Path) -> None:
    """A ledger can be older or newer than the program."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.keep_policy(NODE, json.dumps({"on_start": "refuse", "on_weather": "sing"}), 3)

    assert Policies(ledger).of(SERVER).policy == Policy(on_start=OnDoubt.REFUSE)
