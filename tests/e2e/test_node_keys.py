"""A node's key is replaced while all goes on, after a crash, and when it was lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from programs import sealward as command
from running import DATABASE, WEB, Running, running, until

from sealward.control.role import Role
from sealward.events.base import utc_now
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import keys
from sealward.events.signing.keyid import keyid
from sealward.node_agent.ledger.keyring import KeyFolder
from sealward.protocol import codec, reports
from sealward.protocol.queues import INBOX

STRANGER = keys.public_pem(Ed25519PrivateKey.from_private_bytes(b"s" * 32).public_key())


def replace_key(sealward: Running, pem: str) -> dict[str, Any]:
    """Name the node's new key."""
    answer = sealward.ask("PUT", "/v1/node/1/key", {"public_key": pem})
    assert answer.status == 200, answer.body
    node: dict[str, Any] = answer.json["node"]
    return node


def events(sealward: Running, topic: str) -> list[dict[str, Any]]:
    """Return the data of all events of a topic."""
    found = sealward.ask("GET", f"/v1/events?type={topic}").json["events"]
    return [one["data"] for one in found]


def uses(sealward: Running, pem: str) -> bool:
    """Say whether the agent signs with that key, and the control plane has answered it."""
    runner = sealward.embedded.agent
    return runner._outbox._keyring.pem == pem and runner._agent.registered


def signers(sealward: Running, server_id: str) -> list[str]:
    """Return the keyids of those who signed the reference in force."""
    envelope = envelopes.parse(sealward.ask("GET", f"/v1/sign/{server_id}/envelope").body)
    return [one.keyid for one in envelope.signatures]


def keyid_of(pem: str) -> str:
    """Return the keyid of a public key."""
    return keyid(keys.public_key(pem))


@contextlib.contextmanager
def deaf(sealward: Running) -> Iterator[None]:
    """Have the agent hear nothing until it is started again: it is ended, as if it was killed."""
    sealward.embedded._node.stop()
    yield


def test_a_key_is_replaced_while_all_goes_on(tmp_path: Path) -> None:
    """The agent takes it by itself; what it signed before stays valid, what it signs from now on is new."""
    with running(tmp_path) as sealward:
        sealward.sign()
        key = keys.private_key(tmp_path / "node" / "key.pem")
        old = keys.public_pem(key.public_key())
        new = command(tmp_path, "node", "key", "--new", SEALWARD_DATA_DIR=str(tmp_path)).stdout
        node = replace_key(sealward, new)
        until(lambda: uses(sealward, new))

        assert (node["public_key"], node["keyid"]) == (new, keyid_of(new))
        assert sealward.is_valid() == "true"
        assert keyid_of(old) in signers(sealward, WEB)
        sealward.sign(DATABASE)
        assert keyid_of(new) in signers(sealward, DATABASE)
        sealward.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
        until(lambda: sealward.is_valid() == "false")

        forged = reports.Inventory(
            hostname=sealward.embedded.agent.hostname, instances=(), taken_at=utc_now()
        )
        sealward.embedded._bus.submit(INBOX, codec.seal(forged, key))
        until(lambda: ("", "envelope.not-verified") in sealward.dropped())
        assert len(sealward.ask("GET", "/v1/server").json["servers"]) == 4


def test_an_auditor_finds_the_key_of_each_time(tmp_path: Path) -> None:
    """The log has every key that was a node's; with the one of its time an envelope verifies."""
    with running(tmp_path) as sealward:
        sealward.sign()
        new = KeyFolder(tmp_path / "node").make_next()
        replace_key(sealward, new)
        until(lambda: uses(sealward, new))
        (registered,) = events(sealward, "node.registered")
        (replaced,) = events(sealward, "node.key-replaced")
        known = {keyid_of(one["public_key"]): one["public_key"] for one in (registered, replaced)}
        envelope = envelopes.parse(sealward.ask("GET", f"/v1/sign/{WEB}/envelope").body)
        (signer,) = (known[one.keyid] for one in envelope.signatures if one.keyid in known)
        authority = keys.public_key((tmp_path / "authority.pub").read_text())

        assert (replaced["replaced"], replaced["keyid"]) == (
            keyid_of(registered["public_key"]),
            keyid_of(new),
        )
        assert (replaced["actor"], replaced["node_id"]) == ("user:admin", 1)
        assert envelopes.verify(envelope, [keys.public_key(signer), authority])
        with pytest.raises(envelopes.NotVerified):
            envelopes.verify(envelope, [keys.public_key(new)])


def test_the_same_key_again_is_no_event(sealward: Running) -> None:
    """Naming the key twice, or in another form, changes nothing."""
    pem = sealward.ask("GET", "/v1/node/1").json["node"]["public_key"]
    for text in (pem, pem.strip(), pem.replace("\n", "\r\n")):
        replace_key(sealward, text)

    assert events(sealward, "node.key-replaced") == []


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/v1/node/1/key", {"public_key": "garbage"}, 400, "key.refused"),
        ("/v1/node/1/key", {"public_key": STRANGER.replace("MCow", "MCox")}, 400, "key.refused"),
        ("/v1/node/1/key", {"public_key": 7}, 400, "body.malformed"),
        ("/v1/node/1/key", {}, 400, "body.malformed"),
        ("/v1/node/9/key", {"public_key": STRANGER}, 404, "node.not-found"),
    ],
)
def test_what_is_refused_writes_nothing(
    shared: Running, path: str, body: object, status: int, reason: str
) -> None:
    """A clear error and a stable code."""
    before = shared.embedded.control_plane.store.head()
    answer = shared.ask("PUT", path, body)

    assert (answer.status, answer.json["error"]["reason"]) == (status, reason)
    assert shared.embedded.control_plane.store.head() == before


def test_only_an_administrator_replaces_a_key(shared: Running) -> None:
    """A security officer does not."""
    headers: dict[str, str | None] = {"X-Auth-Token": shared.token_of(Role.SECURITY_OFFICER)}

    assert shared.ask("PUT", "/v1/node/1/key", {"public_key": STRANGER}, headers=headers).status == 403


def test_an_agent_that_missed_it_finds_out_when_it_starts(tmp_path: Path) -> None:
    """Killed before it heard: the queue is gone with the process, and its old key is refused."""
    with running(tmp_path) as sealward:
        sealward.sign()
        new = KeyFolder(tmp_path / "node").make_next()
        with deaf(sealward):
            replace_key(sealward, new)
    with running(tmp_path, quiet=False) as sealward:
        until(lambda: uses(sealward, new), 30)
        assert (tmp_path / "node" / "key.pub").read_text() == new
        sealward.sign(DATABASE)
        assert sealward.is_valid() == "true"


def test_a_lost_key_is_replaced_in_the_same_way(tmp_path: Path) -> None:
    """The host was installed anew: its agent has a key of its own, and speaks once that was named."""
    with running(tmp_path) as sealward:
        sealward.sign()
        hostname = sealward.embedded.agent.hostname
    shutil.rmtree(tmp_path / "node")
    with running(tmp_path, quiet=False) as sealward:
        until(lambda: ("", "node.hostname-taken") in sealward.dropped())
        pem = command(tmp_path, "node", "key", SEALWARD_DATA_DIR=str(tmp_path)).stdout
        assert not sealward.embedded.agent._agent.registered
        replace_key(sealward, pem)
        until(lambda: uses(sealward, pem), 30)
        assert sealward.embedded.agent.hostname == hostname
        sealward.sign(DATABASE)
        until(lambda: sealward.is_valid() == "true")


def test_the_command_makes_a_next_key_once(tmp_path: Path) -> None:
    """Without --new it prints the one in use; what cannot be read is said in a line."""
    first = command(tmp_path, "node", "key")
    made = [command(tmp_path, "node", "key", "--new") for _ in range(2)]
    folder = tmp_path / "data" / "node"

    assert first.stdout == command(tmp_path, "node", "key").stdout == KeyFolder(folder).pem
    assert made[0].stdout == made[1].stdout != first.stdout
    assert stat.S_IMODE((folder / "key-next.pem").stat().st_mode) == 0o600
    (folder / "key-next.pem").write_text("garbage")
    broken = command(tmp_path, "node", "key", "--new")
    assert (broken.returncode, len(broken.stderr.splitlines())) == (2, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_keys_are_made_by_the_agents_user_alone(tmp_path: Path) -> None:
    """An agent could not read what another user, root included, has made for it; the message says how."""
    folder = tmp_path / "data" / "node"
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    done = command(tmp_path, "node", "key", "--new")

    assert done.returncode == 2
    assert "runuser -u nobody" in done.stderr
    assert list(folder.iterdir()) == []
