"""`sealward node enroll`, `invite` and `uninvite`, and the file that brings an invitation to a node."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from programs import sealward
from running import running

from sealward.events.base import node_stream
from sealward.events.node import NodeInvited, NodeUninvited
from sealward.events.store import store as stores
from sealward.node_agent.messages.joining import joined
from sealward.protocol import joining


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the data directory of a control plane that was started once."""
    with running(tmp_path / "data", quiet=False):
        pass
    return tmp_path / "data"


def invited(data: Path, hostname: str) -> list[object]:
    """Return what the log knows of a host's invitations."""
    store = stores.sqlite(data / "log.sqlite")
    events = store.read(node_stream(hostname))
    store.close()
    return [one for one in events if isinstance(one, NodeInvited | NodeUninvited)]


def test_an_invitation_is_a_file_for_its_owner_and_an_event_without_its_secret(
    data: Path, tmp_path: Path
) -> None:
    """Who did it is in the log; the same file again changes nothing; revoked it says so."""
    file, env = tmp_path / "kvm9.join", {"SEALWARD_DATA_DIR": str(data)}
    words = ("node", "enroll", "kvm9", "--join", str(file))
    done = sealward(tmp_path, *words, **env)
    assert done.returncode == 0, done.stderr
    assert "rabbitmqctl" in done.stdout
    secret = json.loads(file.read_text())["secret"]
    join = joining.read(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret not in done.stdout + done.stderr + repr(join)
    assert all(join.secret not in one.read_bytes() for one in data.glob("*.sqlite*"))
    assert join.authority == (data / "authority.pub").read_text()
    (first,) = invited(data, "kvm9")
    assert isinstance(first, NodeInvited)
    assert (first.invitation, first.actor[:5]) == (join.invitation, "user:")
    assert (
        sealward(tmp_path, "node", "invite", "kvm9", "--join", str(file), "--hours", "1", **env).returncode
        == 0
    )
    assert len(invited(data, "kvm9")) == 1
    assert sealward(tmp_path, "node", "uninvite", "kvm9", **env).returncode == 0
    assert isinstance(invited(data, "kvm9")[-1], NodeUninvited)
    assert sealward(tmp_path, "node", "uninvite", "kvm9", **env).returncode == 2


@pytest.mark.parametrize("hostname", ["a b", "-kvm", "kvm_1", "x" * 64, "kvm9\n", "kvm9;reboot", ""])
def test_what_is_no_hostname_is_not_invited(data: Path, tmp_path: Path, hostname: str) -> None:
    """Nor is a file written."""
    file = tmp_path / "join"
    done = sealward(tmp_path, "node", "invite", hostname, "--join", str(file), SEALWARD_DATA_DIR=str(data))

    assert done.returncode == 2
    assert not file.exists()


def test_a_join_file_is_for_one_host(tmp_path: Path) -> None:
    """An agent with another hostname does not start with it; one that is gone is not missed."""
    file = tmp_path / "join"
    authority = joining.Join(hostname="x", secret=b"a" * 32, authority="")
    join = joining.Join(hostname="kvm9", secret=b"s" * 32, authority=authority.invitation)
    joining.write(join, file)

    assert joined(file, "kvm9") == join
    assert joined(tmp_path / "gone", "kvm9") is None
    assert joined(None, "kvm9") is None
    with pytest.raises(joining.JoinRefused, match="for kvm9, this node is KVM9"):
        joined(file, "KVM9")
    with pytest.raises(FileExistsError):
        joining.write(join, file)
    file.write_text("garbage")
    with pytest.raises(joining.JoinRefused):
        joined(file, "kvm9")
