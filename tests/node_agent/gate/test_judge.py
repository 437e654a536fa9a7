"""The rules of the start gate, one test each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOON
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import Measurement
from sealward.events.policy import OnDoubt, Policy, Unsigned
from sealward.node_agent.gate.decision.dossier import Dossier, Sealed
from sealward.node_agent.gate.decision.judge import (
    Objection,
    Reason,
    is_stale,
    objection,
    of_difference,
    of_standing,
    refuses,
)

SIGNED = Measurement("libvirt-domain/3", {"boot": "aa", "cpu": "bb"}, {}, "libvirt 9.0.0")
CHANGED = replace(SIGNED, sections={"boot": "cc", "cpu": "bb"})
STRICT = Policy(on_start=OnDoubt.REFUSE, unsigned=Unsigned.REFUSE, firmware=OnDoubt.REFUSE)
POLICIES = st.builds(Policy)
REASONS = st.lists(st.sampled_from(Reason))


def test_1_a_server_equal_to_its_reference_may_start() -> None:
    """There is nothing to record."""
    assert of_difference(SIGNED, SIGNED) is None
    assert objection(STRICT, []) is None


@given(REASONS)
def test_2_nothing_is_refused_unless_the_policy_says_so(reasons: list[Reason]) -> None:
    """What would be refused is recorded all the same."""
    given_ = objection(Policy(), reasons)

    assert given_ is None or not given_.refused
    assert (given_ is None) == (set(reasons) <= {Reason.UNSIGNED, Reason.UNANSWERED})


def test_3_xml_that_cannot_be_measured_is_an_objection() -> None:
    """Under on_start."""
    assert objection(STRICT, [Reason.UNREADABLE]) == Objection(Reason.UNREADABLE, refused=True)


def test_4_a_server_that_nobody_is_known_to_have_signed_is_one_where_the_policy_refuses_it() -> None:
    """Elsewhere there is nothing to say about it."""
    for is_answered, reason in ((True, Reason.UNSIGNED), (False, Reason.UNANSWERED)):
        assert of_standing(Dossier(), is_answered=is_answered) is reason
        assert objection(STRICT, [reason]) == Objection(reason, refused=True)
        assert objection(replace(STRICT, unsigned=Unsigned.ALLOW), [reason]) is None


@pytest.mark.parametrize(
    ("entry", "seen", "reason"),
    [
        (None, (3, 1), Reason.MISSING),
        (Sealed(3, 1, ""), (3, 2), Reason.ROLLED_BACK),
        (Sealed(3, 2, ""), (4, 1), Reason.ROLLED_BACK),
        (Sealed(3, 2, ""), (3, 2), None),
        (Sealed(3, 2, ""), None, None),
    ],
)
def test_5_a_reference_that_is_lost_or_went_back_is_an_objection(
    entry: Sealed | None, seen: tuple[int, int] | None, reason: Reason | None
) -> None:
    """A later sign, or a later generation of it, is newer."""
    assert of_standing(Dossier(entry=entry, seen=seen)) is reason


def test_6_a_server_that_differs_is_an_objection() -> None:
    """For each section."""
    assert of_difference(SIGNED, CHANGED) is Reason.DIFFERS
    assert refuses(STRICT, Reason.DIFFERS)


@given(POLICIES)
def test_7_what_an_upgrade_may_have_made_is_never_refused(policy: Policy) -> None:
    """An upgrade must not keep a node's servers from starting; nor does it let an evil one start."""
    upgraded = replace(SIGNED, sections={"boot": "aa", "cpu": "cc"}, hypervisor="libvirt 9.1.0")

    assert of_difference(SIGNED, upgraded) is Reason.PROFILE
    assert of_difference(SIGNED, replace(CHANGED, hypervisor="libvirt 9.1.0")) is Reason.DIFFERS
    assert objection(policy, [Reason.PROFILE]) == Objection(Reason.PROFILE, refused=False)


def test_8_a_ledger_that_nobody_confirms_is_an_objection() -> None:
    """For as long as it may be relied on it is none; one that was never confirmed always is."""
    known = Dossier(confirmed_at=NOON, alone_for=timedelta(days=7))

    assert not is_stale(known, NOON + timedelta(days=7))
    assert is_stale(known, NOON + timedelta(days=7, seconds=1))
    assert is_stale(Dossier(alone_for=timedelta(days=7)), NOON)


def test_9_changed_firmware_is_an_objection_under_its_own_policy() -> None:
    """With each policy for starts."""
    assert refuses(Policy(firmware=OnDoubt.REFUSE), Reason.FIRMWARE)
    assert not refuses(replace(STRICT, firmware=OnDoubt.OBSERVE), Reason.FIRMWARE)


def test_10_a_file_that_could_not_be_compared_is_an_objection() -> None:
    """It proves no difference; one that is proven beside it is an objection for itself, and goes first."""
    read = Listing({"kernel/1": "k", "kernel/1:content": "c", "cdrom/sda": "i"})
    unread = Listing({"kernel/1": "k", "kernel/1:content": "c"}, {"cdrom/sda": "file-missing"})
    evil = Listing({"kernel/1": "k", "kernel/1:content": "evil"}, {"cdrom/sda": "file-missing"})
    signed = replace(SIGNED, sections={**SIGNED.sections, "files": "ff"}, files={"config": read})
    found = replace(signed, sections={**SIGNED.sections, "files": "gg"}, files={"config": unread})

    assert of_difference(signed, found, ()) is None
    assert of_difference(signed, replace(found, files={"config": evil}), ()) is Reason.DIFFERS
    assert objection(STRICT, [Reason.NOT_COMPARED]) == Objection(Reason.NOT_COMPARED, refused=True)
    assert objection(STRICT, [Reason.DIFFERS, Reason.NOT_COMPARED]) == Objection(Reason.DIFFERS, refused=True)


def test_11_a_start_without_xml_is_never_refused() -> None:
    """It is recorded."""
    assert objection(STRICT, [Reason.NOT_GIVEN]) == Objection(Reason.NOT_GIVEN, refused=False)


def test_12_who_takes_the_place_of_a_signed_server_is_an_objection() -> None:
    """With each policy for servers that nobody signed."""
    allowed = replace(STRICT, unsigned=Unsigned.ALLOW)

    assert objection(allowed, [Reason.UNSIGNED, Reason.PLACE]) == Objection(Reason.PLACE, refused=True)
    assert objection(Policy(), [Reason.UNSIGNED, Reason.PLACE]) == Objection(Reason.PLACE, refused=False)


@given(POLICIES, REASONS)
def test_13_an_objection_that_refuses_goes_first(policy: Policy, reasons: list[Reason]) -> None:
    """A start is refused exactly when one of its objections is."""
    given_ = objection(policy, reasons)

    assert (given_ is not None and given_.refused) == any(refuses(policy, one) for one in reasons)
