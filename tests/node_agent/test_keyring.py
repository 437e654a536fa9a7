"""A node's keys: one in use, the next one beside it, taken into use when an administrator has named it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.events.signing import keys
from sealward.node_agent.ledger import keyring
from sealward.node_agent.ledger.keyring import KeyFolder, Keyring

OTHER = keys.public_pem(Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32).public_key())


def test_the_next_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Asked for again it is the same, mode 0600, and the one in use stays in use."""
    folder = KeyFolder(tmp_path)
    before = folder.pem
    made = folder.make_next()

    assert folder.make_next() == made != before
    assert stat.S_IMODE((tmp_path / "key-next.pem").stat().st_mode) == 0o600
    assert KeyFolder(tmp_path).pem == folder.pem == before


def test_the_next_key_is_taken_when_it_is_named(tmp_path: Path) -> None:
    """No other key is used; the former key is gone, and an agent that starts finds the new key, published."""
    folder = KeyFolder(tmp_path)
    made = folder.make_next()

    assert not folder.take(OTHER)
    assert folder.take(made)
    assert not folder.take(made)
    assert folder.pem == KeyFolder(tmp_path).pem == made
    assert (tmp_path / "key.pub").read_text() == made
    assert sorted(one.name for one in tmp_path.iterdir()) == ["key.pem", "key.pub"]


def test_a_process_that_dies_while_it_takes_a_key_has_one_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old key before the rename, the new key after it, with each published key."""
    folder = KeyFolder(tmp_path)
    before, made = folder.pem, folder.make_next()

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(os, "replace", die)
        with pytest.raises(SystemExit):
            folder.take(made)
    assert KeyFolder(tmp_path).pem == before
    folder = KeyFolder(tmp_path)
    with monkeypatch.context() as dying:
        dying.setattr(keyring, "publish", die)
        with pytest.raises(SystemExit):
            folder.take(made)
    assert KeyFolder(tmp_path).pem == made
    assert (tmp_path / "key.pub").read_text() == made


def test_a_next_key_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Garbage beside the key ends no agent."""
    (tmp_path / "key-next.pem").write_text("garbage")
    folder = KeyFolder(tmp_path)

    assert folder.following() is None
    assert not folder.take(OTHER)


def test_who_is_not_answered_asks_with_the_other_key(tmp_path: Path) -> None:
    """In turn; without a next key there is but one."""
    folder = KeyFolder(tmp_path)
    assert [folder.turn(number) for number in range(3)] == [folder.current] * 3
    made = folder.make_next()
    turns = [keys.public_pem(folder.turn(number).public_key()) for number in range(4)]

    assert turns == [folder.pem, made, folder.pem, made]


def test_keys_in_memory_do_the_same() -> None:
    """For who keeps no folder."""
    first, second = (Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32) for one in (1, 2))
    ring = Keyring(first, second)

    assert ring.take(keys.public_pem(second.public_key()))
    assert (ring.current, ring.following()) == (second, None)
