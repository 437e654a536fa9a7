"""A node's firmware: believed once, and from then on changed by an administrator alone."""

from __future__ import annotations

import pytest
from factories import NOON
from hypothesis import given
from hypothesis import strategies as st

from sealward.commands import firmware as decider
from sealward.commands import node_state
from sealward.commands.context import RequestContext
from sealward.commands.errors import FirmwareIsAnother, FirmwareUnknown, NotRegistered
from sealward.commands.messages import AcceptFirmware, RecordFirmware
from sealward.events import firmware
from sealward.events import node as facts
from sealward.events.base import Event
from sealward.events.comparison.measurement import Finding
from sealward.protocol import reports

GOOD = {"/fw/CODE.fd": "a", "/fw/VARS.fd": "b"}
EVIL = {"/fw/CODE.fd": "evil", "/fw/new": "c"}


def _node(*found: dict[str, str]) -> node_state.Node:
    """Return a node that has reported these, one after the other."""
    node = node_state.Node(1, "kvm1", "PEM")
    for files in found:
        for event in _record(node, files):
            node = node_state.evolve(node, event) or node
    return node


def _record(node: node_state.Node | None, files: dict[str, str]) -> list[Event]:
    command = RecordFirmware(
        context=RequestContext(actor="node:kvm1"),
        hostname="kvm1",
        report=reports.Firmware(hostname="kvm1", files=files),
    )
    return decider.record_firmware(node, command, now=NOON)


def _accept(node: node_state.Node | None, files: dict[str, str]) -> list[Event]:
    command = AcceptFirmware(
        context=RequestContext(actor="user:admin"), hostname="kvm1", digest=firmware.digest(files)
    )
    return decider.accept_firmware(node, command, now=NOON)


def test_the_first_measurement_is_accepted() -> None:
    """As the node's key is, at its registration."""
    (accepted,) = _record(_node(), GOOD)

    assert isinstance(accepted, facts.NodeFirmwareAccepted)
    assert (accepted.files, accepted.digest, accepted.actor) == (GOOD, firmware.digest(GOOD), "node:kvm1")


def test_what_stays_is_no_event() -> None:
    """Neither what was accepted nor a change that is known."""
    assert _record(_node(GOOD), GOOD) == []
    assert _record(_node(GOOD, EVIL), EVIL) == []


def test_a_change_says_what_differs() -> None:
    """Changed, gone and new files, by path."""
    (changed,) = _record(_node(GOOD), EVIL)

    assert isinstance(changed, facts.NodeFirmwareChanged)
    assert changed.findings == (
        Finding("firmware", "/fw/CODE.fd", "a", "evil"),
        Finding("firmware", "/fw/VARS.fd", "b", None),
        Finding("firmware", "/fw/new", None, "c"),
    )


def test_what_is_again_as_accepted_has_no_findings() -> None:
    """A change that was undone is over, and on record."""
    (changed,) = _record(_node(GOOD, EVIL), GOOD)

    assert isinstance(changed, facts.NodeFirmwareChanged)
    assert changed.findings == ()


def test_an_administrator_accepts_what_was_looked_at() -> None:
    """Nothing that was found since, and nothing twice."""
    (accepted,) = _accept(_node(GOOD, EVIL), EVIL)

    assert isinstance(accepted, facts.NodeFirmwareAccepted)
    assert accepted.files == EVIL
    assert _accept(_node(GOOD), GOOD) == []
    with pytest.raises(FirmwareIsAnother):
        _accept(_node(GOOD, EVIL), GOOD)
    with pytest.raises(FirmwareUnknown):
        _accept(_node(), GOOD)
    with pytest.raises(NotRegistered):
        _accept(None, GOOD)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1))
def test_no_report_of_a_node_changes_what_was_accepted(reports: list[dict[str, str]]) -> None:
    """For every history of reports: the first one stands, and the last one is what was found."""
    node = _node(*reports)

    assert node.firmware is not None
    assert (node.firmware.accepted, node.firmware.found) == (reports[0], reports[-1])
