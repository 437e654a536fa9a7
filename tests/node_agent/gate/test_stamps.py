"""What is noted of the files of a start."""

from __future__ import annotations

from pathlib import Path

from sealward.node_agent.gate.stamps import Stamps

SERVER = "5a5a0000-0000-4000-8000-000000000001"


def test_a_base_that_two_disks_share_keeps_its_root(tmp_path: Path) -> None:
    """It is given to QEMU's user by libvirt: without the root nobody could say that it is the same file."""
    base = tmp_path / "base"
    base.write_bytes(b"base")
    stamps = Stamps()
    stamps.note(base, base.stat())
    stamps.note(base, base.stat(), root="root-of-base")
    stamps.note(base, base.stat())
    stamps.note(base, base.stat(), is_written=True, root="links")

    (line,) = [one for one in stamps.record(SERVER, refuses=True).splitlines() if one.startswith("file ")]
    assert "root-of-base" in line.split()
