"""`sealward verify` counts keys: a key counts once, under any name and in any form."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import SERVER

from sealward.__main__ import main
from sealward.events.comparison.measurement import Measurement
from sealward.events.signing.envelope import sign
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key, public_pem
from sealward.events.signing.statement import Statement

ONE, OTHER, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
PEM = public_pem(ONE.public_key())


@pytest.fixture
def envelope(tmp_path: Path) -> Path:
    """Return an envelope that two keys have signed."""
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    measured = Measurement("libvirt-domain/1", {"boot": "aa"}, {}, "libvirt 9.0.0")
    made = Statement(SERVER, 1, 1, 1, noon, measured, b"").envelope()
    path = tmp_path / "envelope.json"
    path.write_text(json.dumps(sign(sign(made, ONE), OTHER).to_json()))
    return path


def key(folder: Path, name: str, text: str) -> Path:
    """Write a key's file."""
    (folder / name).write_text(text, newline="")
    return folder / name


def verify(envelope: Path, *keys: Path) -> int:
    """Run the sub-command; return its status."""
    return main(["verify", str(envelope), *(word for one in keys for word in ("--key", str(one)))])


def _on_one_line(pem: str) -> str:
    body = "".join(pem.splitlines()[1:-1])
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def _in_short_lines(pem: str) -> str:
    body = "".join(pem.splitlines()[1:-1])
    lines = [body[start : start + 16] for start in range(0, len(body), 16)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


FORMS: dict[str, Callable[[str], str]] = {
    "the same text": lambda pem: pem,
    "with CRLF": lambda pem: pem.replace("\n", "\r\n"),
    "with words before it": lambda pem: "the key of the authority\n" + pem,
    "with words behind it": lambda pem: pem + "until 2027\n",
    "on one line": _on_one_line,
    "in short lines": _in_short_lines,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_in_two_files_is_one_key(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str], form: Callable[[str], str]
) -> None:
    """It says how many keys that is."""
    status = verify(envelope, key(tmp_path, "authority.pub", PEM), key(tmp_path, "node.pub", form(PEM)))

    assert status == 0
    assert "verified: signed by 1 of 1 keys (in 2 files)" in capsys.readouterr().out


def test_a_key_that_is_named_twice_is_one_key(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By one path, by a link and by a hard link."""
    path = key(tmp_path, "k", PEM)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "hard").hardlink_to(path)
    verify(envelope, path, path, tmp_path / "link", tmp_path / "hard", tmp_path / "." / "k")

    assert "signed by 1 of 1 keys (in 5 files)" in capsys.readouterr().out


def test_two_keys_are_two(tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And so it says."""
    other = key(tmp_path, "other", public_pem(OTHER.public_key()))

    assert verify(envelope, key(tmp_path, "one", PEM), other) == 0
    assert "verified: signed by 2 of 2 keys\n" in capsys.readouterr().out


def test_what_is_missing_is_counted(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many were needed, how many have signed."""
    stranger = key(tmp_path, "stranger", public_pem(STRANGER.public_key()))
    one = key(tmp_path, "one", PEM)

    assert verify(envelope, one, one, stranger) == 1
    said = capsys.readouterr().out
    assert "NOT VERIFIED" in said
    assert "signed by 1 of 2 keys (in 3 files); all are needed" in said
    signer, other = (keyid(public_key(text)) for text in (PEM, public_pem(STRANGER.public_key())))
    assert f"the envelope names the key {signer}\n" in said
    assert f"the key {signer} has signed it\n" in said
    assert f"{stranger}: the key {other} has not signed it\n" in said


@pytest.mark.parametrize("second", [PEM, public_pem(STRANGER.public_key())], ids=["the same", "another"])
def test_a_file_with_two_keys_is_refused(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str], second: str
) -> None:
    """Only the first would be looked at."""
    assert verify(envelope, key(tmp_path, "two", PEM + second)) == 2
    assert "more than one key" in capsys.readouterr().err


def test_a_signature_that_is_there_twice_makes_no_second_key(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under any key id."""
    fields = json.loads(envelope.read_text())
    copied = fields["signatures"][0] | {"keyid": base64.b64encode(b"another").decode()}
    envelope.write_text(json.dumps(fields | {"signatures": [copied, *fields["signatures"][:1]]}))
    other = key(tmp_path, "other", public_pem(OTHER.public_key()))

    assert verify(envelope, key(tmp_path, "one", PEM), other) == 1
    assert "signed by 1 of 2 keys" in capsys.readouterr().out


def test_a_key_that_is_not_there_is_said(
    tmp_path: Path, envelope: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    assert verify(envelope, tmp_path / "nothing") == 2
    assert "No such file" in capsys.readouterr().err
