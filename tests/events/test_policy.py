"""Which policy holds for a server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealward.events.policy import (
    AS_NODE,
    DEFAULT,
    OnDoubt,
    OnViolation,
    Policy,
    ServerPolicy,
    Unsigned,
    effective,
)

POLICIES = st.builds(Policy)
EXCEPTIONS = st.builds(ServerPolicy)


def test_by_default_nothing_is_refused_or_stopped() -> None:
    """A node about which nobody said anything only looks."""
    assert (DEFAULT.on_start, DEFAULT.unsigned) == (OnDoubt.OBSERVE, Unsigned.ALLOW)
    assert (DEFAULT.on_violation, DEFAULT.firmware) == (OnViolation.OBSERVE, OnDoubt.OBSERVE)


@given(POLICIES, EXCEPTIONS)
def test_what_is_said_of_a_server_goes_before_its_node(policy: Policy, own: ServerPolicy) -> None:
    """Field by field; what is not said of it is as the node has it."""
    holds = effective(policy, own)

    for name in ("on_start", "on_violation", "grace"):
        said = getattr(own, name)
        assert getattr(holds, name) == (getattr(policy, name) if said is None else said)
    assert (holds.unsigned, holds.firmware) == (policy.unsigned, policy.firmware)


@given(POLICIES)
def test_a_server_without_exceptions_is_as_its_node_says(policy: Policy) -> None:
    """All None changes nothing."""
    assert effective(policy, AS_NODE) == policy
