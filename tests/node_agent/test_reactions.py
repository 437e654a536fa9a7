"""A violation is reacted to once, as the policy says; an unknown never."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from factories import NOON, SERVER

from sealward.events.enforcement import Action
from sealward.events.policy import OnViolation, Policy
from sealward.node_agent.gate import spool
from sealward.node_agent.hypervisor.domains import DomainXml
from sealward.node_agent.hypervisor.failures import HypervisorGone
from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import Policies
from sealward.node_agent.reactions import ActionFailed, Reactions

STOP = Policy(on_violation=OnViolation.STOP, grace=60.0)


class Node:
    """A node with one server that runs until it is destroyed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOON
        self.is_running = True
        self.is_there = True
        self.is_found = True
        self.is_kept = True
        self.refuses = ""
        self.done: list[Action] = []
        self.woken: list[float] = []
        self.restart()

    def restart(self) -> None:
        """Begin anew on the same ledger, as an agent that was killed."""
        self.ledger = Ledger(self.folder / "ledger.sqlite")
        self.policies = Policies(self.ledger)
        self.reactions = Reactions(
            self.ledger,
            cast("Hypervisor", self),
            self.policies,
            self.act,
            clock=lambda: self.now,
            wake=self.woken.append,
            is_found=lambda _: self.is_found,
        )

    def describe(self, server_id: str) -> DomainXml:
        """Stand in for the hypervisor."""
        del server_id
        if not self.is_there:
            raise HypervisorGone
        return DomainXml("<domain/>", "<domain/>" if self.is_running else None, "libvirt 9.0.0", "QEMU")

    def is_persistent(self, server_id: str) -> bool:
        """Say whether libvirt keeps the server when it stops."""
        del server_id
        return self.is_kept

    def act(self, server_id: str, action: Action) -> None:
        """Do what is asked for."""
        assert server_id == SERVER
        if self.refuses:
            raise ActionFailed(self.refuses)
        self.done.append(action)
        self.is_running = action is not Action.DESTROY

    def later(self, seconds: float) -> datetime:
        """Let time go by, and the agent look."""
        self.now += timedelta(seconds=seconds)
        self.reactions.step()
        return self.now

    @property
    def reported(self) -> list[dict[str, object]]:
        """Return what waits to be reported."""
        return [json.loads(text) for _, text in spool.waiting(str(self.folder))]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node whose policy says stop, and whose server is in violation."""
    made = Node(tmp_path)
    made.policies.set_node(STOP, 17)
    made.reactions.violated(SERVER, 1)
    return made


def test_it_is_asked_to_shut_down_and_destroyed_after_its_grace(node: Node) -> None:
    """Each is reported with the policy that asked for it, and nothing is done twice."""
    node.later(0)
    node.later(59)
    before = list(node.done)
    node.later(2)
    node.is_running = True
    node.later(1000)

    assert before == [Action.SHUTDOWN]
    assert node.done == [Action.SHUTDOWN, Action.DESTROY]
    assert node.woken == [60.0]
    assert [(one["action"], one["outcome"], one["policy_position"]) for one in node.reported] == [
        ("shutdown", "done", 17),
        ("destroy", "done", 17),
    ]


def test_one_that_shuts_down_is_not_destroyed(node: Node) -> None:
    """And when it is started again it is still the same violation."""
    node.later(0)
    node.is_running = False
    node.later(61)
    node.is_running = True
    node.later(61)

    assert node.done == [Action.SHUTDOWN]


def test_observing_does_nothing(node: Node) -> None:
    """The default."""
    node.policies.set_node(Policy(), 18)
    node.later(0)

    assert (node.done, node.reported) == ([], [])


def test_a_policy_that_is_taken_back_ends_what_was_begun(node: Node) -> None:
    """Within the grace an administrator can change his mind."""
    node.later(0)
    node.policies.set_node(Policy(), 18)
    node.later(61)

    assert node.done == [Action.SHUTDOWN]


def test_a_server_that_is_as_signed_again_is_left_alone(node: Node) -> None:
    """A verdict of true ends it; the next violation is another one."""
    node.later(0)
    node.reactions.cleared(SERVER)
    node.later(61)
    node.reactions.violated(SERVER, 1)
    node.later(0)

    assert node.done == [Action.SHUTDOWN, Action.SHUTDOWN]


def test_the_grace_survives_the_agent(node: Node) -> None:
    """Killed in between, it neither asks twice nor forgets."""
    node.later(0)
    node.restart()
    node.reactions.take_over({SERVER: 1}, {})
    node.later(30)
    node.later(31)

    assert node.done == [Action.SHUTDOWN, Action.DESTROY]
    assert node.woken == [60.0, 30.0]


def test_what_nobody_knows_leads_to_nothing(node: Node) -> None:
    """Neither without libvirt, nor for a server that does not run."""
    node.is_there = False
    node.later(0)
    node.is_there, node.is_running = True, False
    node.later(0)

    assert node.done == []


def test_a_failure_is_reported_with_its_reason(node: Node) -> None:
    """Libvirt's own words."""
    node.refuses = "operation forbidden: read only access"
    node.later(0)

    assert [(one["outcome"], one["reason"]) for one in node.reported] == [("failed", node.refuses)]


def test_nothing_is_done_on_the_word_of_another_node(node: Node) -> None:
    """The verdict may be from where the server was before: this node must have found it different itself."""
    node.is_found = False
    node.later(0)
    untouched = list(node.done)
    node.is_found = True
    node.later(0)

    assert (untouched, node.done) == ([], [Action.SHUTDOWN])


def test_nothing_is_done_while_another_node_claims_the_server(node: Node) -> None:
    """Nor is what was begun ended; it is when nobody claims the server any more."""
    node.later(0)
    node.reactions.claimed(SERVER, 3)
    node.reactions.claimed(SERVER, 4)
    node.later(120)
    node.reactions.unclaimed(SERVER, 3)
    node.later(0)
    claimed = list(node.done)
    node.reactions.unclaimed(SERVER, 4)
    node.later(0)

    assert claimed == [Action.SHUTDOWN]
    assert node.done == [Action.SHUTDOWN, Action.DESTROY]


def test_claims_are_known_from_the_beginning(node: Node) -> None:
    """The answer to an agent's registration says which nodes claim its servers."""
    node.reactions.take_over({SERVER: 1}, {SERVER: {3}})
    node.later(0)

    assert node.done == []


def test_a_server_that_a_cloud_has_undefined_for_a_job_is_spared(node: Node) -> None:
    """Stopped now, libvirt would forget it: it is acted on when it is defined again."""
    node.is_kept = False
    node.later(0)
    node.later(299)
    spared = list(node.done)
    node.is_kept = True
    node.later(0)

    assert (spared, node.done) == ([], [Action.SHUTDOWN])
    assert node.woken[0] == 300.0


def test_a_server_that_stays_undefined_is_spared_for_five_minutes(node: Node) -> None:
    """To undefine a server is no way around the reaction."""
    node.is_kept = False
    node.later(0)
    node.later(301)
    node.later(61)

    assert node.done == [Action.SHUTDOWN, Action.DESTROY]


def test_a_server_undefined_between_both_actions_is_not_destroyed_yet(node: Node) -> None:
    """Its grace has ended, and its definition is away."""
    node.later(0)
    node.is_kept = False
    node.later(61)
    spared = list(node.done)
    node.is_kept = True
    node.later(1)

    assert (spared, node.done) == ([Action.SHUTDOWN], [Action.SHUTDOWN, Action.DESTROY])


HANGS = """
import datetime, pathlib, sys, threading
from sealward.events.policy import OnViolation, Policy
from sealward.node_agent import reactions
from sealward.node_agent.hypervisor.domains import DomainXml
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import Policies

class Hypervisor:
    def describe(self, server_id):
        return DomainXml("<domain/>", "<domain/>", "libvirt 9.0.0", "QEMU")

    def is_persistent(self, server_id):
        return True

reactions.PATIENCE = 0.1
ledger = Ledger(pathlib.Path(sys.argv[1]) / "ledger.sqlite")
policies = Policies(ledger)
policies.set_node(Policy(on_violation=OnViolation.STOP, grace=60.0), 17)
agent = reactions.Reactions(
    ledger, Hypervisor(), policies, lambda *_: threading.Event().wait(),
    clock=lambda: datetime.datetime.now(datetime.UTC), wake=lambda _: None, is_found=lambda _: True,
)
agent.violated("server", 1)
print(agent.step())
agent.close()
"""


def test_a_libvirt_that_hangs_does_not_keep_the_agent_from_ending(tmp_path: Path) -> None:
    """The process ends while the call is still being made, which is reported as failed."""
    done = subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [sys.executable, "-c", HANGS, tmp_path], capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout, done.stderr.count("Traceback")) == (0, "True\n", 0)
    (report,) = [json.loads(text) for _, text in spool.waiting(str(tmp_path))]
    assert (report["outcome"], report["reason"]) == ("failed", "libvirt does not answer")
