"""The rules about devices of a node: each is the device that was signed, wherever its path leads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sealward.events.comparison.binding import AS_SIGNED, Binding, is_violated, lost, unexplained
from sealward.events.comparison.devices import ABSENT, UNIDENTIFIED
from sealward.events.comparison.measurement import Measurement
from sealward.events.is_valid import IsValid
from sealward.events.verdict import UNSEALED, equal, judged

DISK, HERE = "device/disk/vdb", "device/disk/vdb:here"
MOVED, COMING = Binding(has_moved=True), Binding(is_open=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def having(**named: str) -> Measurement:
    """Return a measurement with these names; `disk` and `here` stand for the facts about a disk."""
    names = {"disk": DISK, "here": HERE, "network": "network/plain"}
    return Measurement("p", {}, {}, "", named={names[key]: value for key, value in named.items()})


def violated(signed: Measurement, found: Measurement, binding: Binding = AS_SIGNED) -> bool:
    """Say whether it is a violation, and has a finding exactly then."""
    said = is_violated(signed, binding, found)
    assert bool(unexplained(signed, binding, found)) == said
    return said


@pytest.mark.parametrize("binding", [AS_SIGNED, MOVED, COMING])
def test_another_device_is_a_violation_here_and_after_a_move(binding: Binding) -> None:
    """Its identity goes with it."""
    assert violated(having(disk="wwn a"), having(disk="wwn b"), binding)
    assert violated(having(disk="wwn a"), having(disk=UNIDENTIFIED), binding)
    assert not violated(having(disk="wwn a"), having(disk="wwn a"), binding)


@pytest.mark.parametrize(("binding", "counts"), [(AS_SIGNED, True), (MOVED, False), (COMING, False)])
def test_facts_of_a_node_count_on_that_node(binding: Binding, *, counts: bool) -> None:
    """Another node has another revision, another file behind a loop device, and its own networks."""
    assert violated(having(here="revision 1"), having(here="revision 2"), binding) == counts
    assert violated(having(network="a"), having(network="b"), binding) == counts
    assert bool(lost(having(here="revision 1"), binding, having())) == counts


@pytest.mark.parametrize("before", [None, UNIDENTIFIED, ABSENT])
def test_what_was_not_known_when_it_was_signed_is_no_difference(before: str | None) -> None:
    """Agents and kernels of later may know more."""
    signed = having() if before is None else having(disk=before)

    assert not violated(signed, having(disk="wwn a"))
    assert lost(signed, AS_SIGNED, having()) == ()


def test_a_device_that_a_server_starts_without_may_be_missing() -> None:
    """The domain says so itself."""
    assert not violated(having(disk="usb a"), having(disk=ABSENT))
    assert lost(having(disk="usb a"), AS_SIGNED, having(disk=ABSENT)) == ()


def test_an_identity_that_cannot_be_read_any_more_makes_a_true_unknown() -> None:
    """With its reason; a difference makes it false all the same."""
    signed = having(disk="wwn a", network="a")
    true = equal(UNSEALED, NOW, NOW + timedelta(60))

    def verdict(found: Measurement) -> tuple[IsValid, tuple[str, ...]]:
        one = judged(true, signed, found, findings=(), checked_at=NOW + timedelta(1), fresh_until=NOW)
        return one.is_valid, one.reasons

    assert verdict(having(network="a")) == (IsValid.UNKNOWN, ("device-not-identified",))
    assert verdict(having(network="b")) == (IsValid.FALSE, ("measurement-differs",))
    assert verdict(having(disk="wwn b", network="a")) == (IsValid.FALSE, ("measurement-differs",))
