"""Taints and block jobs: which of them count, by libvirt's own words."""

from __future__ import annotations

import pytest

from sealward.events.comparison.measurement import Measurement
from sealward.events.comparison.taint import added
from sealward.node_agent.measuring.interventions.jobs import without_jobs
from sealward.node_agent.measuring.interventions.taint import TAINTS, counting
from sealward.node_agent.measuring.measure import measure

DOMAIN = "<domain type='kvm'><cpu mode='custom'/></domain>"
COUNTED = ("custom-monitor", "external-launch", "hook-script", "disk-probing")


@pytest.mark.parametrize("text", TAINTS)
def test_what_nothing_explains_counts_and_what_is_ignored_never_does(text: str) -> None:
    """The definition explains nothing here, so a taint that would follow from one counts, too."""
    known = TAINTS[text]

    assert counting([f"tainted: {text}"], DOMAIN) == (() if known.is_ignored else (known.flag,))


@pytest.mark.parametrize("text", [text for text, one in TAINTS.items() if one.follows_from])
def test_what_follows_from_the_definition_does_not_count(text: str) -> None:
    """Each of the texts is enough."""
    for mark in TAINTS[text].follows_from:
        assert counting([f"tainted: {text}"], f"<domain>{mark}</domain>") == ()


def test_those_that_no_definition_explains_are_these() -> None:
    """They are never excused by what stands in a definition."""
    assert tuple(one.flag for one in TAINTS.values() if not (one.follows_from or one.is_ignored)) == COUNTED


def test_a_message_that_nobody_knows_counts_as_it_stands() -> None:
    """Of a newer libvirt, or in another language; bounded, and without control characters."""
    (found,) = counting(["tainted: something\x1b[2J new" + "x" * 4000], DOMAIN)

    assert found.startswith("something\\x1b")
    assert len(found) < 300


def test_a_deprecation_names_a_setting_and_is_ignored_all_the_same() -> None:
    """Behind the colon stands which."""
    assert counting(["tainted: use of deprecated configuration settings: machine type"], DOMAIN) == ()


def test_only_what_came_on_top_is_a_violation() -> None:
    """A taint that is gone says nothing; an agent that did not ask knows nothing."""

    def tainted(*taints: str) -> Measurement:
        return Measurement("p/1", {}, {}, "", taints=taints)

    assert added(tainted("custom-monitor"), tainted("custom-monitor", "hook-script")) == ("hook-script",)
    assert added(tainted("custom-monitor"), tainted()) == ()
    assert added(Measurement("p/1", {}, {}, ""), tainted("custom-monitor")) == ("custom-monitor",)
    assert added(tainted(), Measurement("p/1", {}, {}, "")) == ()


RUNNING = """<domain type='kvm'><devices><disk type='file' device='disk'><source file='/a'/>{}
<target dev='vda' bus='virtio'/></disk></devices></domain>"""
TARGETS = {
    "<mirror type='file' file='/b' format='qcow2' job='copy' ready='yes'/>": "vda: copy to /b",
    "<mirror type='block' job='active-commit'><source dev='/d'/></mirror>": "vda: active-commit to /d",
    "<mirror type='network' job='copy'><source protocol='nbd' name='e'/></mirror>": "vda: copy to nbd:e",
    "<mirror file='/old'/>": "vda: copy to /old",
}


@pytest.mark.parametrize("mirror", TARGETS)
def test_a_block_job_is_taken_out_and_described(mirror: str) -> None:
    """The running form measures as it does without the job."""
    found = without_jobs(RUNNING.format(mirror))
    idle = RUNNING.format("")

    assert found.jobs == (TARGETS[mirror],)
    assert measure(idle, found.live, "").measurement == measure(idle, idle, "").measurement


def test_what_is_called_like_a_job_elsewhere_stays() -> None:
    """A <mirror> in metadata is metadata."""
    text = "<domain><metadata><mirror xmlns='urn:x' file='/c'/></metadata><devices/></domain>"
    found = without_jobs(text)

    assert found.jobs == ()
    assert "/c" in found.live
