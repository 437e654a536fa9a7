"""A node's folder that somebody put back, whole: with key, ledger and all that it ever noted."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gated import Gated, gated_node
from running import WEB, Running, running, until

from sealward.node_agent.gate.decision import dossier
from sealward.node_agent.hypervisor.fleet import SampleFleet
from sealward.node_agent.ledger.mark import beside
from sealward.node_agent.ledger.marked import MarkedLedger

OLDER = "older than one that was there before"


@dataclass
class Copied:
    """A node with a start gate, and a copy of the folder of its agent."""

    gate: Gated
    kept: Path

    @property
    def sealward(self) -> Running:
        """Return the Sealward of the node."""
        return self.gate.sealward

    @property
    def node(self) -> Path:
        """Return the folder of the node's agent."""
        return self.gate.node

    def starts(self, xml: str) -> subprocess.CompletedProcess[str]:
        """Start a server as libvirt does."""
        return self.gate.starts(xml)

    def policy(self, **what: str) -> None:
        """Set the node's policy, and wait until its ledger has it."""
        self.gate.policy(**what)

    def keep(self) -> None:
        """Copy the folder as it is."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.node, self.kept, ignore=shutil.ignore_patterns("gate.sock"))

    def sign_anew(self) -> None:
        """Change the server, sign it as it is now, and wait until the ledger has that."""
        self.sealward.fleet.replace(WEB, "/disk'", "/other'")
        assert self.sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).status == 200
        until(
            lambda: (entry := dossier.read(str(self.node), WEB).entry) is not None and entry.generation == 2
        )

    def put_back(self) -> None:
        """Put the copy in the place of the folder, while no agent runs."""
        self.sealward.embedded.agent.stop()
        shutil.rmtree(self.node)
        shutil.copytree(self.kept, self.node)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Copied]:
    """Yield a node whose folder was kept when there was one sign."""
    with gated_node(tmp_path) as gate:
        made = Copied(gate, tmp_path / "kept")
        made.keep()
        yield made


def test_an_old_generation_does_not_start(gated: Copied) -> None:
    """Though all in the folder belongs together, and every signature is good."""
    old = gated.sealward.fleet.xml(WEB)
    before = gated.starts(old).returncode
    gated.sign_anew()
    gated.put_back()
    done = gated.starts(old)

    assert before == 0
    assert (done.returncode, OLDER in done.stderr) == (1, True), done.stderr


def test_what_is_in_force_waits_for_its_reference(gated: Copied) -> None:
    """The folder does not have it; the control plane brings it, and all is as before."""
    gated.sign_anew()
    new = gated.sealward.fleet.xml(WEB)
    before = gated.starts(new).returncode
    gated.put_back()
    waited = gated.starts(new)
    gated.sealward.embedded.stop()
    with running(gated.node.parent, gated.sealward.fleet):
        until(lambda: not dossier.read(str(gated.node), WEB).is_put_back)
        until(lambda: gated.starts(new).returncode == 0)

    assert (before, waited.returncode) == (0, 1)
    assert OLDER in waited.stderr


def test_a_policy_does_not_come_back_either(gated: Copied) -> None:
    """What was only observed when the folder was kept is refused."""
    gated.policy(on_start="observe")
    gated.keep()
    gated.policy(on_start="refuse")
    changed = gated.sealward.fleet.xml(WEB).replace("/disk'", "/evil'")
    gated.put_back()

    assert gated.starts(changed).returncode == 1


def test_a_reference_that_was_revoked_does_not_come_back(gated: Copied) -> None:
    """Nobody vouches for that server any more."""
    old = gated.sealward.fleet.xml(WEB)
    assert gated.sealward.ask("DELETE", f"/v1/sign/{WEB}").status == 204
    until(lambda: dossier.read(str(gated.node), WEB).entry is None)
    gated.put_back()
    done = gated.starts(old)

    assert (done.returncode, OLDER in done.stderr) == (1, True), done.stderr


def test_a_folder_that_missed_nothing_that_matters_goes_on(gated: Copied) -> None:
    """Its reference is the one in force."""
    xml = gated.sealward.fleet.xml(WEB)
    gated.policy(on_start="refuse", unsigned="refuse")
    gated.put_back()

    assert dossier.read(str(gated.node), WEB).is_put_back
    assert gated.starts(xml).returncode == 0


def test_signers_do_not_come_back(gated: Copied) -> None:
    """A reference that an authority countersigned whose key was taken out of use."""
    old = gated.sealward.fleet.xml(WEB)
    gated.sealward.embedded.agent.stop()
    another = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    with contextlib.closing(MarkedLedger(gated.node / "ledger.sqlite")) as ledger:
        ledger.keep_fact("signers", another)
    gated.put_back()

    assert "lacks a valid signature" in gated.starts(old).stderr


def test_a_copy_of_itself_is_no_older_one(gated: Copied) -> None:
    """As a host's own backup, taken and put back while nothing happened."""
    xml = gated.sealward.fleet.xml(WEB)
    gated.put_back()

    assert not dossier.read(str(gated.node), WEB).is_put_back
    assert gated.starts(xml).returncode == 0


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"no database" * 100)])
def test_without_its_mark_a_folder_counts_as_it_is(gated: Copied, spoil: Callable[[Path], None]) -> None:
    """That is the limit: an attacker who puts back the mark as well is noticed by the control plane alone."""
    old = gated.sealward.fleet.xml(WEB)
    gated.sign_anew()
    gated.put_back()
    for name in ("-wal", "-shm"):
        Path(beside(str(gated.node)) + name).unlink(missing_ok=True)
    spoil(Path(beside(str(gated.node))))

    assert gated.starts(old).returncode == 0


def test_the_mark_is_for_its_owner_alone(gated: Copied) -> None:
    """As all that an agent keeps."""
    assert Path(beside(str(gated.node))).stat().st_mode & 0o077 == 0
    assert isinstance(gated.sealward.fleet, SampleFleet)
