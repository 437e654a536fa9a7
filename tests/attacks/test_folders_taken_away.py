"""A node's folder that somebody takes away, whole: the policy that refused starts is kept by root."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gated import Gated, gated_node
from running import WEB

from sealward.node_agent.gate import hook
from sealward.node_agent.ledger.marked import MarkedLedger

OTHER = "5a5a0000-0000-4000-8000-00000000000f"


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """Yield a node that refuses, and whose hook has been asked once since."""
    with gated_node(tmp_path) as made:
        assert made.starts().returncode == 0
        yield made


def kept(gated: Gated) -> Path:
    """Return where root keeps the policy."""
    return gated.place.parents[1] / hook.KEPT


def take_away(gated: Gated) -> None:
    """Take the folder away, with its mark."""
    gated.sealward.embedded.agent.stop()
    shutil.rmtree(gated.node)
    gated.node.with_name("node-mark.sqlite").unlink()


def take_files(gated: Gated) -> None:
    """Take all files in it away."""
    gated.sealward.embedded.agent.stop()
    for file in gated.node.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def make_anew(gated: Gated) -> None:
    """Take the folder away and make a ledger that the control plane has told nothing."""
    take_away(gated)
    MarkedLedger(gated.node / "ledger.sqlite").close()


def under_the_agent(gated: Gated) -> None:
    """Take the folder away while the agent runs on with files that it has open."""
    shutil.rmtree(gated.node)


def without_python(gated: Gated) -> None:
    """Take the folder away, and what the hook runs."""
    take_away(gated)
    text = gated.place.read_text()
    gated.place.write_text(text.replace("[ -x ", "[ -x /nowhere"))


@pytest.mark.parametrize("how", [take_away, take_files, make_anew, under_the_agent, without_python])
def test_a_signed_server_does_not_start(gated: Gated, how: Callable[[Gated], None]) -> None:
    """Nothing is left to compare it with. What nobody signed starts as the policy says."""
    how(gated)
    refused, other = gated.starts(), gated.starts(gated.xml.replace(WEB, OTHER))

    assert refused.returncode == 1
    assert "ledger" in refused.stderr
    assert other.returncode == 0


def test_what_nobody_signed_is_refused_where_the_policy_said_so(gated: Gated) -> None:
    """The policy about unsigned servers is kept, too."""
    gated.policy(on_start="refuse", unsigned="refuse")
    assert gated.starts().returncode == 0
    take_away(gated)

    assert gated.starts(gated.xml.replace(WEB, OTHER)).returncode == 1


def test_a_policy_that_was_taken_back_is_not_kept(gated: Gated) -> None:
    """The hook keeps what was posted last; `gate install` does so, too."""
    gated.policy(on_start="observe")
    hook.install(gated.place.parents[1], gated.node, gated.node / "gate.sock", gated.node.parents[1] / "in")
    take_away(gated)

    assert gated.starts().returncode == 0


def test_the_copy_is_roots_and_goes_with_the_hook(gated: Gated) -> None:
    """Nobody else reads or writes it."""
    assert stat.S_IMODE(kept(gated).stat().st_mode) == 0o600
    hook.remove(gated.place.parents[1], gated.node)
    assert not kept(gated).exists()


def test_a_node_that_was_never_told_anything_refuses_nothing(tmp_path: Path) -> None:
    """There is nothing to be kept before the first word of the control plane."""
    node = tmp_path / "sw" / "node"
    place = hook.install(tmp_path / "hooks", node, node / "gate.sock", tmp_path / "in")
    MarkedLedger(node / "ledger.sqlite").close()
    xml = f"<domain><uuid>{WEB}</uuid><name>i</name></domain>"
    done = subprocess.run(  # noqa: S603 - as above
        [place, "instance-00000068", "prepare", "begin", "-"], input=xml, text=True, timeout=10, check=False
    )

    assert done.returncode == 0
    assert not (place.parents[1] / hook.KEPT).exists()
