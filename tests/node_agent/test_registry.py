"""The registry of findings and reasons has all that agents give: docs/findings.md leaves nothing out."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import sealward.node_agent
from sealward.events.findings import code
from sealward.events.findings.reason import OF_OBJECTIONS, OF_VERDICTS
from sealward.events.verdict_reason import VerdictReason
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.hypervisor import named
from sealward.node_agent.ledger.saved_images import EXCHANGED
from sealward.node_agent.measuring import doors
from sealward.node_agent.measuring.classes import BOUND_SECTIONS
from sealward.node_agent.measuring.interventions.taint import TAINTS
from sealward.node_agent.measuring.not_measured import NotMeasured
from stack.tables import FINDINGS_PAGE, findings_page

if TYPE_CHECKING:
    from collections.abc import Iterator


def _failures(kind: type[NotMeasured] = NotMeasured) -> Iterator[str]:
    yield kind.code
    for one in kind.__subclasses__():
        yield from _failures(one)


def test_every_reason_of_a_verdict_is_registered() -> None:
    """Those of the verdict's rules, and those of failures to measure, in every module of the agent.

    libvirt runs the hook's own files where they lie, and they are no modules of the package.
    """
    for module in pkgutil.walk_packages(sealward.node_agent.__path__, "sealward.node_agent."):
        if not module.name.startswith("sealward.node_agent.gate."):
            importlib.import_module(module.name)

    assert set(OF_VERDICTS) == {*VerdictReason, *_failures()}


def test_every_objection_is_registered() -> None:
    """The start gate gives no other reason."""
    assert set(OF_OBJECTIONS) == set(Reason)


def test_every_taint_that_counts_has_a_code() -> None:
    """A taint that is not listed gets `taint-other`."""
    assert set(code.TAINTS) == {EXCHANGED, *(one.flag for one in TAINTS.values() if not one.is_ignored)}


def test_every_door_has_a_code() -> None:
    """Also the doors that listen."""
    kinds = {one.what for one in (*doors.DOORS, *doors.HIDDEN)}

    assert set(code.DOORS) == {*kinds, doors.BEYOND, doors.EVERYBODY}


def test_every_named_object_and_bound_section_has_a_code() -> None:
    """So no finding is only said to be about something else."""
    assert set(code.NAMED) == set(named._LOOKUPS)
    assert set(code.BOUND) == BOUND_SECTIONS


def test_the_page_is_that_of_the_registry() -> None:
    """`make schemas` writes its tables."""
    assert FINDINGS_PAGE.read_text(encoding="utf-8") == findings_page()
