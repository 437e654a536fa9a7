"""What comes late, again, or about another sign or order changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import SERVER
from sign_life import ASK, CHANGED, NOW, SIGNED, created, play, report, sealed

from sealward.commands import sign as decider
from sealward.commands.context import RequestContext, by_node
from sealward.commands.errors import NotOrdered, UnknownGeneration
from sealward.commands.messages import MoveSign, RecordFailure, SetServerPolicy
from sealward.commands.moves import location
from sealward.commands.sign_state import Sign
from sealward.events.base import Event
from sealward.events.cause import Cause
from sealward.events.policy import OnDoubt, ServerPolicy
from sealward.events.sign import BlockJobsChanged, Grounds, HostBoundChanged, SignPolicySet, SignValidated
from sealward.protocol import reports


def failure(sign: Sign, cause: str, sign_id: int = 115, task_id: str | None = "t-1") -> list[Event]:
    """Return what follows from a report that the server could not be measured."""
    command = RecordFailure(
        context=by_node("kvm2", task_id),
        server_id=SERVER,
        node_id=2,
        report=reports.Failure(
            hostname="kvm2",
            server_id=SERVER,
            sign_id=sign_id,
            reason="domain-not-found",
            failed_at=NOW + timedelta(seconds=5),
            cause=cause,
        ),
    )
    return decider.record_failure(sign, command, now=NOW + timedelta(seconds=5))


def moved(sign: Sign | None, node_id: int) -> Sign | None:
    """Return the sign on another node, to which its home has let the server go."""
    command = MoveSign(
        context=RequestContext(actor=f"node:kvm{node_id}"),
        server_id=SERVER,
        node_id=node_id,
        hostname=f"kvm{node_id}",
        instance_name="i",
        grounds=Grounds.LEFT,
    )
    return play(sign, location.move_sign(sign, command, now=NOW))


def test_a_policy_that_is_in_force_is_no_news() -> None:
    """Set once it is an event, set again it is none, and another policy is one."""
    policy = SetServerPolicy(**ASK, policy=ServerPolicy(on_start=OnDoubt.REFUSE))
    first = decider.set_policy(sealed(), policy, now=NOW)
    known = play(sealed(), first)
    other = SetServerPolicy(**ASK, policy=ServerPolicy())

    assert [type(one) for one in first] == [SignPolicySet]
    assert decider.set_policy(known, policy, now=NOW) == []
    assert [type(one) for one in decider.set_policy(known, other, now=NOW)] == [SignPolicySet]


def test_what_was_measured_for_another_order_is_not_sealed() -> None:
    """The generation is the one that is ordered, and the task is another."""
    with pytest.raises(NotOrdered):
        report(created(), task_id="t-of-before", cause="sealed")


def test_a_failure_about_a_revoked_sign_is_refused() -> None:
    """The server has been signed anew since."""
    with pytest.raises(UnknownGeneration):
        failure(sealed(), "domain-changed", sign_id=114)


def test_a_failure_to_seal_counts_while_the_order_is_open() -> None:
    """Afterwards it came late."""
    (open_order,) = failure(created(), Cause.SEALED)

    assert isinstance(open_order, SignValidated)
    assert open_order.reasons == ("domain-not-found",)
    assert failure(sealed(), Cause.SEALED) == []


def test_host_bound_parts_are_recorded_of_later_measurements_alone() -> None:
    """The server moves on, and what was measured at the moment of the last record is heard again."""
    there = replace(SIGNED, host_bound={"config": "cc"}, doors=())
    beyond = replace(SIGNED, host_bound={"config": "dd"}, doors=())
    learned = play(moved(sealed(), 3), report(moved(sealed(), 3), there, second=2, node_id=3))
    again = moved(learned, 4)
    late = report(again, beyond, second=2, node_id=4)
    later = report(again, beyond, second=3, node_id=4)

    assert [type(one) for one in late if isinstance(one, HostBoundChanged)] == []
    assert [type(one) for one in later if isinstance(one, HostBoundChanged)] == [HostBoundChanged]


def test_block_jobs_are_recorded_of_later_measurements_alone() -> None:
    """An older measurement does not bring back a job that has ended."""
    mirrored = replace(SIGNED, jobs=("mirror vda",))
    known = play(sealed(), report(sealed(), mirrored, second=3))

    assert [type(one) for one in report(known, SIGNED, second=2)] == []
    assert [type(one) for one in report(known, SIGNED, second=4)] == [BlockJobsChanged]


def test_a_difference_of_the_same_moment_is_heard_once() -> None:
    """Of two measurements of a moment the first counts."""
    known = play(sealed(), report(sealed(), CHANGED, second=2))

    assert report(known, replace(CHANGED, sections={"boot": "cc"}), second=2) == []
    assert report(known, replace(CHANGED, sections={"boot": "cc"}), second=3) != []
