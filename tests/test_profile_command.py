"""`sealward profile rehearse`: what the profile in force makes of the references of a node's ledger."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.__main__ import main
from sealward.events.comparison.measurement import Measurement
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.node_agent.ledger.ledger import Entry, Ledger

REFERENCES = Path(__file__).parent / "assets" / "references"
SERVERS = {
    "off": "5a5a0000-0000-4000-8000-000000000001",
    "masked-otherwise": "5a5a0000-0000-4000-8000-000000000002",
}


def _envelope(name: str, sign_id: int) -> str:
    kept = json.loads((REFERENCES / f"{name}.json").read_text())
    evidence = base64.b64decode(kept.pop("evidence"))
    kept |= {doors: tuple(kept[doors]) for doors in ("doors", "hidden_doors")}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    statement = Statement(SERVERS[name], sign_id, 1, 1, at, Measurement(**kept), evidence)
    key = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    return json.dumps(envelopes.sign(statement.envelope(), key).to_json())


def _ledger(folder: Path, *names: str) -> None:
    (folder / "node").mkdir(parents=True)
    ledger = Ledger(folder / "node" / "ledger.sqlite")
    numbered = enumerate(names, 7)
    ledger.replace_all(Entry(SERVERS[name], number, 1, _envelope(name, number)) for number, name in numbered)
    ledger.close()


def _rehearsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SEALWARD_DATA_DIR", str(folder))
    return main(["profile", "rehearse"])


def test_a_reference_that_is_decided_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0: nobody has to do anything for that server."""
    _ledger(tmp_path, "off")

    assert _rehearsed(tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out == f"{SERVERS['off']}: libvirt-domain/2: decided\n"


def test_a_section_that_is_undecided_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1: that server will be unknown until it is signed anew."""
    _ledger(tmp_path, "off", "masked-otherwise")

    assert _rehearsed(tmp_path, monkeypatch) == 1
    assert "libvirt-domain/2: unknown (undecided: disks)" in capsys.readouterr().out


def test_without_a_ledger_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is run on a node; elsewhere there is nothing to rehearse."""
    assert _rehearsed(tmp_path, monkeypatch) == 2
