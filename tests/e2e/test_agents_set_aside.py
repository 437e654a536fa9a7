"""What breaks an agent's handling: the agent says so, goes on, and is told everything anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from door import AUTHORITY, NOW, SERVERS, Door, InMemory
from hypothesis import given
from hypothesis import strategies as st
from programs import sealward
from reporter import Reporter
from running import DATABASE, WEB, Running, running, until

from sealward.characters import escaped
from sealward.control.set_aside import OF_A_NODE, SetAside
from sealward.control.untold import Untold
from sealward.control_plane import Core
from sealward.events.sign import SignPolicySet
from sealward.events.signing import envelope as envelopes
from sealward.events.store.store import in_memory
from sealward.node_agent import set_aside as of_agent
from sealward.node_agent.agent import Agent
from sealward.node_agent.enforcement import Enforcement
from sealward.node_agent.measuring.measure import measure
from sealward.node_agent.validation import measurer
from sealward.protocol import reports, telling
from sealward.settings import Settings

DISK = "/var/lib/nova/instances/bdfe7b89-4d44-4edb-af5a-de8733aa3eba/disk"
OTHER = "/var/lib/nova/instances/evil/disk"
PATCHED = [KeyError("x"), TypeError("y"), RecursionError("z")]


@pytest.fixture
def broken() -> Iterator[pytest.MonkeyPatch]:
    """Return what breaks an agent until the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def listed(node: Running) -> list[tuple[str, str, str]]:
    """Return what is set aside: part, what it is, and the reason."""
    found = node.ask("GET", "/healthcheck?detailed").json["set_aside"]
    return [(one["part"], one["topic"], one["reason"]) for one in found]


def breaking(
    on: Callable[[Any], bool], raised: Exception, original: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that breaks when one of its arguments is such a thing."""

    def function(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - stands for any function
        if any(map(on, given)):
            raise raised
        return original(*given, **named)

    return function


@pytest.mark.parametrize("raised", PATCHED, ids=repr)
def test_an_event_that_breaks_an_agent(tmp_path: Path, broken: pytest.MonkeyPatch, raised: Exception) -> None:
    """It is on the control plane's list, by node and topic; changes are seen as before, and orders done."""

    def is_policy(one: object) -> bool:
        return isinstance(getattr(one, "event", None), SignPolicySet)

    with running(tmp_path) as node:
        node.sign()
        broken.setattr(Enforcement, "hear", breaking(is_policy, raised, Enforcement.hear))
        answer = node.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_violation": "observe"})
        assert answer.status < 300, answer.body
        part = f"node:{node.embedded.agent.hostname}"
        until(lambda: listed(node) == [(part, "sign.policy-set", type(raised).__name__)])
        health = node.ask("GET", "/healthcheck?detailed").json
        node.sign(DATABASE)
        node.fleet.replace(WEB, DISK, OTHER)
        until(lambda: node.is_valid() == "false")

        assert "events.set-aside" in health["problems"]
        assert node.is_valid(DATABASE) == "true"
        metrics = node.ask("GET", "/metrics").body.decode()
        assert 'sealward_set_aside_events{part="node"} 1.0' in metrics
        assert node.embedded.agent.hostname not in metrics


def test_a_server_that_breaks_the_measuring(tmp_path: Path, broken: pytest.MonkeyPatch) -> None:
    """It is unknown, and an order to seal it says why; its neighbours are looked at as before."""
    with running(tmp_path) as node:
        node.sign()
        node.sign(DATABASE)

        def is_web(one: object) -> bool:
            return isinstance(one, str) and WEB in one

        broken.setattr(measurer, "measure", breaking(is_web, KeyError("uuid"), measure))
        node.action("activate")
        until(lambda: node.is_valid() == "unknown")
        node.fleet.replace(DATABASE, "vda", "vdz")
        until(lambda: node.is_valid(DATABASE) == "false")

        assert node.verdict()["reasons"] == ["measuring-failed"]
        broken.undo()
        node.action("activate")
        until(lambda: node.is_valid() == "true")


def test_a_job_that_breaks_does_not_end_the_agent(tmp_path: Path, broken: pytest.MonkeyPatch) -> None:
    """For each job: the thread lives, and the failure is on the list."""
    with running(tmp_path) as node:
        node.sign()
        broken.setattr(
            Agent,
            "validate_changed",
            breaking(lambda one: isinstance(one, set), LookupError("x"), Agent.validate_changed),
        )
        node.fleet.replace(WEB, "vda", "vdz")
        part = f"node:{node.embedded.agent.hostname}"
        until(lambda: (part, "change", "LookupError") in listed(node))
        broken.undo()
        node.fleet.replace(WEB, "vdz", "vdy")
        until(lambda: node.is_valid() == "false")


def told(message: dict[str, Any]) -> bytes:
    """Return a message of a newer control plane, signed by the authority."""
    envelope = envelopes.Envelope(json.dumps(message).encode(), telling.PAYLOAD_TYPE)
    return json.dumps(envelopes.sign(envelope, AUTHORITY).to_json()).encode()


def test_what_a_newer_control_plane_says_is_told_from_what_a_stranger_says() -> None:
    """Only what the authority has signed is worth an operator's time."""
    message = {"to": "kvm1", "message": {"kind": "invented"}}

    with pytest.raises(telling.ToldUnreadable):
        telling.unseal(told(message), "kvm1", [AUTHORITY.public_key()])
    with pytest.raises(telling.ToldNotVerified):
        telling.unseal(told(message), "kvm1", [])


def test_what_is_repeated_makes_no_more_reports() -> None:
    """Until everything is looked at again: then all of it is said once more, in case it was lost."""
    said: list[reports.AnyReport] = []
    aside = of_agent.SetAside("kvm1", said.append)
    for _ in range(100):
        aside.put(0, "told", telling.ToldUnreadable())
        aside.put(7, "sign.sealed", KeyError("x"))
    before = len(said)
    aside.report_again()
    aside.report_again()

    assert (before, len(said)) == (2, 4)


def test_a_node_fills_a_list_of_bounded_length() -> None:
    """The last ones are kept, and other parts' entries stay."""
    kept = SetAside(InMemory(), lambda: NOW)
    kept.of("relay")(7, "sign.created", KeyError())
    for start in range(1, 400, 20):
        kept.hear(
            [
                reports.SetAside(
                    hostname="kvm1", position=one, about="sign.sealed", reason="KeyError", detail=""
                )
                for one in range(start, start + 30)
            ]
        )
    found = kept.all()

    assert [one.part for one in found].count("node:kvm1") == OF_A_NODE
    assert max(one.position for one in found) == 400
    assert ("relay", 7) in {(one.part, one.position) for one in found}


def test_the_command_line_lists_it_and_has_the_node_told_anew(tmp_path: Path) -> None:
    """`retry` forgets it and has that node alone ask for everything; at 0 there is no event to show."""
    data = tmp_path / "data"
    core = Core(replace(Settings(), data_dir=data))
    said = reports.SetAside(hostname="kvm1", position=0, about="tick", reason="KeyError", detail="x")
    try:
        SetAside(core.control, lambda: NOW).hear([said])
    finally:
        core.close()
    listed = sealward(tmp_path, "events", "set-aside", "list")
    shown = sealward(tmp_path, "events", "set-aside", "show", "0")
    retried = sealward(tmp_path, "events", "set-aside", "retry")
    core = Core(replace(Settings(), data_dir=data))
    try:
        untold, left = Untold(core.control).all(), SetAside(core.control, lambda: NOW).all()
    finally:
        core.close()

    assert listed.stdout.split()[:2] == ["0", "node:kvm1"]
    assert shown.returncode == 2
    assert "no event of the log" in shown.stderr
    assert (retried.returncode, retried.stdout) == (0, "1 of 1 were taken\n")
    assert (set(untold), left) == ({"kvm1"}, [])


@given(
    position=st.integers(0, 2**53 - 1),
    about=st.text(max_size=70),
    reason=st.text(max_size=70),
    detail=st.text(max_size=400),
)
def test_whatever_a_node_says_of_it_is_kept_or_refused(
    position: int, about: str, reason: str, detail: str
) -> None:
    """Nothing that a terminal or a database would not take is kept."""
    door, node = Door(in_memory()), Reporter("kvm1", 1)
    door.take(node.registration(), node.inventory(SERVERS[0]))
    said = reports.SetAside(hostname="kvm1", position=position, about=about, reason=reason, detail=detail)
    (answer,) = door.take(node.seal(said))
    kept = SetAside(door.control, lambda: NOW)
    kept.hear(door.heard)

    assert answer in {None, "report.malformed"}
    assert [one.position for one in kept.all()] == ([position] if answer is None else [])
    assert all(one.detail == escaped(one.detail) for one in kept.all())
