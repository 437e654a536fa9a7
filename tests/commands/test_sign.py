"""What may be done with a sign, a sentence a rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from factories import SERVER
from sign_life import (
    ASK,
    AUTHORITY,
    CHANGED,
    NODE,
    NOW,
    SIGNED,
    created,
    play,
    report,
    sealed,
    verdict_of,
)

from sealward.commands import sign as decider
from sealward.commands.context import RequestContext
from sealward.commands.errors import (
    AlreadySigned,
    FilesUnread,
    MovedAway,
    NotSigned,
    UnknownGeneration,
    WrongNode,
)
from sealward.commands.messages import CreateSign, MoveSign, RequestValidation, RevokeSign, UpdateSign
from sealward.commands.moves import location
from sealward.commands.sign_state import Sign, evolve
from sealward.events.cause import Cause
from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import Measurement
from sealward.events.comparison.remeasured import Remeasured
from sealward.events.is_valid import IsValid
from sealward.events.sign import (
    Grounds,
    HostBoundChanged,
    SignMoved,
    SignRevoked,
    SignSealed,
    SignValidated,
    SignValidationRequested,
)
from sealward.events.signing import envelope as envelopes


def test_a_server_is_signed_once() -> None:
    """The second POST is refused: it would make a new reference without saying so."""
    command = CreateSign(**ASK, node_id=2, hostname="kvm2", instance_name="i", profile="p")

    with pytest.raises(AlreadySigned):
        decider.create_sign(created(), command, sign_id=116, now=NOW)


def test_what_is_not_signed_cannot_be_changed() -> None:
    """PUT, validate, DELETE and a report need a sign."""
    with pytest.raises(NotSigned):
        decider.update_sign(None, UpdateSign(**ASK), now=NOW)
    with pytest.raises(NotSigned):
        decider.request_validation(None, RequestValidation(**ASK), now=NOW)
    with pytest.raises(NotSigned):
        decider.revoke_sign(None, RevokeSign(**ASK), now=NOW)
    with pytest.raises(NotSigned):
        report(None)


def test_the_first_report_seals_and_is_valid() -> None:
    """The order's task ends with the seal, signed by node and authority."""
    seal, verdict = report(created())

    assert isinstance(seal, SignSealed)
    assert isinstance(verdict, SignValidated)
    assert (seal.digest, seal.task_id) == (SIGNED.digest, "t-1")
    assert (verdict.is_valid, verdict.cause, verdict.task_id) == (IsValid.TRUE, "sealed", "t-1")
    keys = [NODE.public_key(), AUTHORITY.public_key()]
    assert envelopes.verify(envelopes.parse(seal.envelope), keys)


def test_a_server_with_unread_files_is_not_sealed() -> None:
    """Whatever its node says of them: there would be a reference that knows less than it says."""
    unread = replace(SIGNED, files={"config": Listing({}, {"kernel/1:content": "file-unreadable"})})

    with pytest.raises(FilesUnread):
        report(created(), unread)


def test_a_change_is_false_and_never_absorbed() -> None:
    """A report of the generation in force is compared; the reference stays."""
    (verdict,) = report(sealed(), CHANGED, 2)
    after = play(sealed(), [verdict])

    assert isinstance(verdict, SignValidated)
    assert verdict.is_valid is IsValid.FALSE
    assert after is not None
    assert after.reference == SIGNED


def test_what_stays_as_it_was_is_no_event_unless_asked_for() -> None:
    """An unasked report that brings no news writes nothing; one for a task does."""
    assert report(sealed(), SIGNED, 2) == []
    assert len(report(sealed(), SIGNED, 2, task_id="t-2")) == 1


def test_an_order_to_re_sign_changes_nothing_until_it_is_sealed() -> None:
    """A false stays false, and is compared with the old reference, until the node reports the new one."""
    false = play(sealed(), report(sealed(), CHANGED, 2))
    ordered = play(false, decider.update_sign(false, UpdateSign(**ASK), now=NOW))
    again = play(ordered, report(ordered, CHANGED, 3, generation=2))

    assert ordered is not None
    assert (ordered.verdict.is_valid, ordered.reference) == (IsValid.FALSE, SIGNED)
    assert again is not None
    assert (again.verdict.is_valid, again.reference, again.sign_id) == (IsValid.TRUE, CHANGED, 115)


def test_a_seal_is_made_once() -> None:
    """A redelivered seal report, and one for a generation nobody ordered, give no second seal."""
    assert report(sealed(), SIGNED, 1) == []
    with pytest.raises(UnknownGeneration):
        report(sealed(), SIGNED, 2, generation=2)


def test_a_late_report_does_not_launder() -> None:
    """An old equal measurement, replayed after a difference was seen, changes nothing."""
    false = play(sealed(), report(sealed(), CHANGED, 5))

    assert report(false, SIGNED, 4) == []


def test_a_node_speaks_for_its_own_servers_alone() -> None:
    """The report of another node is refused."""
    with pytest.raises(WrongNode):
        report(created(), node_id=3)


def test_a_revoked_server_can_be_signed_anew() -> None:
    """After DELETE the stream goes on with a new sign."""
    events = decider.revoke_sign(sealed(), RevokeSign(**ASK), now=NOW)

    assert [type(one) for one in events] == [SignRevoked]
    assert play(sealed(), events) is None


def test_a_requested_validation_is_a_fact() -> None:
    """The node learns of the request from the log."""
    events = decider.request_validation(sealed(), RequestValidation(**ASK), now=NOW)

    assert [type(one) for one in events] == [SignValidationRequested]
    assert play(sealed(), events) == sealed()


def test_a_measurement_for_a_revoked_sign_never_seals_the_next_one() -> None:
    """Signed, revoked, signed again: what was measured for the first sign is too old for the second."""
    with pytest.raises(UnknownGeneration):
        report(created(), sign_id=114)


def test_what_a_revoked_sign_s_node_still_says_is_no_offence() -> None:
    """Also where the next sign of the server is on another node."""
    with pytest.raises(UnknownGeneration):
        report(created(), sign_id=114, node_id=3)


def test_what_a_sweep_passed_over_is_recorded_although_it_is_no_news() -> None:
    """Trust may have been withdrawn, of which the sign's own stream knows nothing; said again it is not."""
    (restored,) = report(sealed(), second=2, cause=Cause.PASSED_OVER)
    after = play(sealed(), [restored])

    assert isinstance(restored, SignValidated)
    assert (restored.is_valid, restored.checked_at) == (IsValid.TRUE, NOW + timedelta(seconds=2))
    assert report(after, second=2, cause=Cause.PASSED_OVER) == []
    assert report(after, second=1, cause=Cause.PASSED_OVER) == []
    assert report(sealed(), CHANGED, second=2, cause=Cause.PASSED_OVER) != []


def test_a_change_that_was_undone_is_recorded_although_it_is_no_news() -> None:
    """Once: a report that comes twice is recorded once, and the verdict is as it was."""
    (noted,) = report(sealed(), second=2, cause=Cause.CHANGED_BACK)
    after = play(sealed(), [noted])

    assert isinstance(noted, SignValidated)
    assert (noted.is_valid, noted.cause) == (IsValid.TRUE, "changed-back")
    assert report(after, second=2, cause=Cause.CHANGED_BACK) == []
    assert report(after, second=1, cause=Cause.CHANGED_BACK) == []


MOVE = MoveSign(
    context=RequestContext(actor="node:kvm3"),
    server_id=SERVER,
    node_id=3,
    hostname="kvm3",
    instance_name="instance-9",
    grounds=Grounds.LEFT,
)
BOUND = Measurement("libvirt-domain/1", {"boot": "aa"}, {}, "libvirt 9.0.0", {"config": "bb"}, doors=())
MOVED = replace(BOUND, host_bound={"config": "cc"})
EVIL = replace(MOVED, host_bound={"config": "dd"})
OPEN = replace(MOVED, doors=("/domain/devices/graphics: listens on every address",))


def bound(*, moved: bool = False) -> Sign:
    """Return a sign in force with host-bound parts, on its node or on another one."""
    sign = play(created(), report(created(), BOUND))
    sign = play(sign, location.move_sign(sign, MOVE, now=NOW) if moved else [])
    assert sign is not None
    return sign


def test_a_host_bound_change_is_a_violation_while_the_server_stays() -> None:
    """What its node decides for itself is what it decided when it was signed; put back it is true again."""
    violated = report(bound(), MOVED, second=2)
    after = play(bound(), violated)

    assert [type(one) for one in violated] == [SignValidated]
    assert verdict_of(violated) is IsValid.FALSE
    assert verdict_of(report(after, BOUND, second=3)) is IsValid.TRUE


def test_after_a_move_it_is_learned_once() -> None:
    """The first look on the new node records it; what comes after that is strict again."""
    learned = report(bound(moved=True), MOVED, second=2, node_id=3)
    after = play(bound(moved=True), learned)

    assert verdict_of(learned) is IsValid.TRUE
    assert [one.host_bound for one in learned if isinstance(one, HostBoundChanged)] == [{"config": "cc"}]
    assert report(after, MOVED, second=3, node_id=3) == []
    assert verdict_of(report(after, EVIL, second=4, node_id=3)) is IsValid.FALSE


def test_a_first_look_that_finds_what_was_signed_ends_the_learning() -> None:
    """A move that rewrote nothing leaves no door open for later."""
    after = play(bound(moved=True), report(bound(moved=True), BOUND, second=2, node_id=3))

    assert verdict_of(report(after, MOVED, second=3, node_id=3)) is IsValid.FALSE


def test_a_door_is_never_learned() -> None:
    """Moved or not."""
    assert verdict_of(report(bound(moved=True), OPEN, second=2, node_id=3)) is IsValid.FALSE
    assert verdict_of(report(bound(), replace(OPEN, host_bound=BOUND.host_bound), second=2)) is IsValid.FALSE


def test_a_false_first_look_learns_nothing() -> None:
    """It is learned by the first look that finds all else as it was signed."""
    changed = replace(MOVED, sections={"boot": "bb"})
    after = play(bound(moved=True), report(bound(moved=True), changed, second=2, node_id=3))
    repaired = report(after, MOVED, second=3, node_id=3)

    assert verdict_of(repaired) is IsValid.TRUE
    assert [type(one) for one in repaired] == [SignValidated, HostBoundChanged]


def test_a_reference_without_host_bound_parts_learns_them_once() -> None:
    """It was made by an agent that did not measure them."""
    (changed,) = report(sealed(), MOVED, second=2)
    after = evolve(sealed(), changed)

    assert isinstance(changed, HostBoundChanged)
    assert after is not None
    assert after.verdict == sealed().verdict
    assert verdict_of(report(after, EVIL, second=3)) is IsValid.FALSE


def test_a_late_host_bound_change_is_no_news() -> None:
    """A report that is delivered again after a newer one does not undo it."""
    after = play(bound(moved=True), report(bound(moved=True), MOVED, second=5, node_id=3))

    assert report(after, BOUND, second=4, node_id=3) == []


def test_a_violation_is_no_host_bound_change() -> None:
    """Where the server itself differs, that alone is said."""
    found = Measurement("libvirt-domain/1", {"boot": "bb"}, {}, "libvirt 9.0.0", {"config": "cc"})

    assert [type(one) for one in report(sealed(), found, second=2)] == [SignValidated]


STARTED = replace(BOUND, host_bound={"config": "bb", "started": "ee"})
"""What the server is like when a start has decided what its definition leaves open."""


def test_a_first_start_completes_the_reference_and_no_later_one_replaces_that() -> None:
    """An event has it; another value is a violation; off, and started as before, there is nothing to say."""
    completed = report(bound(), STARTED, second=2)
    after = play(bound(), completed)

    assert [one.host_bound for one in completed if isinstance(one, HostBoundChanged)] == [STARTED.host_bound]
    assert report(after, BOUND, second=3) == report(after, STARTED, second=4) == []
    other = replace(STARTED, host_bound={"config": "bb", "started": "ff"})
    assert verdict_of(report(after, other, second=5)) is IsValid.FALSE


def test_a_definition_that_was_made_of_a_running_form_completes_nothing() -> None:
    """It may have what a start has decided, and nothing that no start ever did."""
    redefined = replace(BOUND, host_bound={"config": "bb", "redefined": "ee"})
    after = play(bound(), report(bound(), STARTED, second=2))

    assert verdict_of(report(bound(), redefined, second=2)) is IsValid.FALSE
    assert report(after, redefined, second=3) == []


def test_a_move_has_a_start_decide_anew() -> None:
    """Another node may have other firmware, and another bridge behind the same network."""
    started = play(bound(), report(bound(), STARTED, second=2))
    moved = play(started, location.move_sign(started, MOVE, now=NOW + timedelta(seconds=3)))
    there = replace(STARTED, host_bound={"config": "cc", "started": "ff"})

    assert verdict_of(report(moved, there, second=4, node_id=3)) is IsValid.TRUE


def test_a_reference_of_an_older_profile_is_unknown_until_it_is_signed_anew() -> None:
    """What was sealed under libvirt-domain/1 is not red for being measured under its successor."""
    newer = Measurement("libvirt-domain/3", {"boot": "a2"}, {}, "libvirt 9.0.0")
    (verdict,) = report(sealed(), newer, second=2)

    assert isinstance(verdict, SignValidated)
    assert (verdict.is_valid, verdict.reasons) == (IsValid.UNKNOWN, ("profile-changed",))
    update = decider.update_sign(sealed(), UpdateSign(**ASK), now=NOW)
    assert [getattr(one, "profile", None) for one in update] == ["libvirt-domain/3"]


def test_a_reference_of_an_older_profile_that_was_measured_anew_is_compared() -> None:
    """Of the reference in force alone; one that leaves a section undecided is unknown."""
    newer = Measurement("libvirt-domain/3", {"boot": "a3"}, {}, "libvirt 9.0.0")
    again = Remeasured(SIGNED.digest, "libvirt-domain/3", {"boot": "a3"})
    other = replace(newer, sections={"boot": "b3"})
    foreign = replace(again, origin=CHANGED.digest)
    open_ = replace(again, undecided=("boot",))

    assert report(sealed(), newer, second=2, remeasured=again) == []
    assert verdict_of(report(sealed(), other, second=2, remeasured=again)) is IsValid.FALSE
    assert verdict_of(report(sealed(), newer, second=2, remeasured=foreign)) is IsValid.UNKNOWN
    assert verdict_of(report(sealed(), other, second=2, remeasured=open_)) is IsValid.UNKNOWN


def test_a_sign_follows_its_server_and_keeps_what_is_in_force() -> None:
    """Both nodes are named; generation, reference and verdict stay; being there already is no news."""
    before = sealed()
    (moved,) = location.move_sign(before, MOVE, now=NOW)
    assert isinstance(moved, SignMoved)
    after = play(before, [moved])
    assert after is not None

    assert (moved.from_node_id, moved.from_hostname, moved.node_id, moved.hostname) == (2, "kvm2", 3, "kvm3")
    assert (after.node_id, after.hostname, after.instance_name) == (3, "kvm3", "instance-9")
    assert (after.sealed, after.reference, after.verdict) == (before.sealed, before.reference, before.verdict)
    assert location.move_sign(after, MOVE, now=NOW) == []
    with pytest.raises(NotSigned):
        location.move_sign(None, MOVE, now=NOW)


def test_after_a_move_the_new_node_is_heard_and_the_old_one_is_not() -> None:
    """What the old one still says came too late; what a third one says never had a place."""
    moved = play(sealed(), location.move_sign(sealed(), MOVE, now=NOW))

    (changed,) = report(moved, CHANGED, second=2, node_id=3)
    assert isinstance(changed, SignValidated)
    with pytest.raises(MovedAway):
        report(moved, CHANGED, second=2, node_id=2)
    with pytest.raises(WrongNode) as refused:
        report(moved, CHANGED, second=2, node_id=4)
    assert refused.type is WrongNode


def test_what_was_ordered_before_a_move_is_sealed_by_the_new_node() -> None:
    """The order goes with the sign, when its home has said where the server goes."""
    move = msgspec.structs.replace(MOVE, grounds=Grounds.ANNOUNCED)
    moved = play(created(), location.move_sign(created(), move, now=NOW))

    assert [type(one) for one in report(moved, node_id=3)] == [SignSealed, SignValidated]


def test_what_a_node_finds_first_after_a_move_is_news() -> None:
    """Equal as before, for trust may have been withheld when it left its old node; said again it is none."""
    moved = play(sealed(), location.move_sign(sealed(), MOVE, now=NOW))
    (first,) = report(moved, second=2, node_id=3)

    assert isinstance(first, SignValidated)
    assert first.is_valid is IsValid.TRUE
    assert report(play(moved, [first]), second=3, node_id=3) == []


def test_what_was_measured_before_a_move_is_not_what_is_found_first_after_it() -> None:
    """Delivered once more when the server is back: it says nothing of what was in between."""
    back = msgspec.structs.replace(MOVE, node_id=2, hostname="kvm2")
    gone = play(sealed(), location.move_sign(sealed(), MOVE, now=NOW))
    returned = play(gone, location.move_sign(gone, back, now=NOW))

    assert report(returned, second=1) == []
    assert report(returned, second=2) != []
