"""A program of others verifies the log: the code of Go's checksum database, golang.org/x/mod/sumdb."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, ONE_OF_EACH

from sealward.audit.export import export
from sealward.audit.folder import Folder
from sealward.control.checkpoints import Checkpoints, SignedCheckpoint
from sealward.control.database import SqliteControl
from sealward.control.notary import Notary
from sealward.events.store import store as stores
from sealward.events.tlog.merkle import inclusion_proof
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend

PROGRAM = Path(__file__).with_name("tlog")
GO = shutil.which("go")
SIZES = (1, 2, 255, 256, 257, 700)


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program in Go, built with Debian's packages alone."""
    if GO is None:
        pytest.fail("no Go: apt-get install golang-go golang-golang-x-mod-dev; scripts/setup.sh dev does it")
    built = tmp_path_factory.mktemp("go") / "verify"
    env = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(built.with_name("cache"))}
    subprocess.run(  # noqa: S603 - our own program
        [GO, "build", "-o", str(built), "."],
        cwd=PROGRAM,
        env=env | {"PATH": os.environ["PATH"], "HOME": str(built.parent)},
        check=True,
        timeout=300,
    )
    return built


def exported(folder: Path, size: int) -> tuple[SignedCheckpoint, list[str]]:
    """Export a log of so many events; return its checkpoint, and proofs as the program reads them."""
    key = Ed25519PrivateKey.generate()
    with (
        contextlib.closing(stores.in_memory()) as store,
        contextlib.closing(Projections(SqliteBackend(folder / "rows.sqlite"))) as projections,
        contextlib.closing(SqliteControl(folder / "control.sqlite")) as control,
    ):
        store.append_all([(uuid4(), 1, ONE_OF_EACH[one % len(ONE_OF_EACH)]) for one in range(size)])
        for _ in projections.catch_up(store):
            pass
        checkpoints = Checkpoints(control)
        Notary(store, projections, checkpoints, "sealward.example/log", key, lambda: NOON).check()
        last = export(store, projections, checkpoints, Folder(folder / "log"), int)
        with projections.reading() as tables:
            subtrees = projections.tree.subtrees(tables)
            proofs = [
                " ".join([str(leaf), *(_base64(one) for one in inclusion_proof(leaf, size, subtrees))])
                for leaf in range(0, size, 11)
            ]
    return last, proofs


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def run(verify: Path, folder: Path, vkey: str, proofs: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the program in Go."""
    return subprocess.run(  # noqa: S603 - our own program
        [str(verify), str(folder), vkey],
        input="\n".join(proofs),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("size", SIZES)
def test_go_verifies_checkpoint_tiles_entries_and_proofs(verify: Path, tmp_path: Path, size: int) -> None:
    """Each record, each seventh earlier tree, and the proofs that Sealward made."""
    last, proofs = exported(tmp_path, size)
    done = run(verify, tmp_path / "log", last.vkey, proofs)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"sealward.example/log: {size} entries, {len(proofs)} proofs\n"


def test_go_refuses_what_was_changed(verify: Path, tmp_path: Path) -> None:
    """So the program looks at what it says that it looks at."""
    last, proofs = exported(tmp_path, 300)
    entries = tmp_path / "log/tile/entries/000"
    good = entries.read_bytes()
    entries.write_bytes(good.replace(b"\n7\n", b"\n9\n"))
    assert run(verify, tmp_path / "log", last.vkey, proofs).returncode == 1
    entries.write_bytes(good)
    assert (
        run(verify, tmp_path / "log", last.vkey, [proofs[1], proofs[1].replace("11 ", "12 ")]).returncode == 1
    )
    assert run(verify, tmp_path / "log", last.vkey, proofs).returncode == 0
