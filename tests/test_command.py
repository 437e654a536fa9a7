"""The `sealward` command, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DOMAINS = Path(__file__).parent / "assets" / "domains"


def sealward(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return how it ended."""
    return subprocess.run(  # noqa: S603 - the interpreter that runs the tests, on fixed arguments
        [sys.executable, "-m", "sealward", *args], capture_output=True, text=True, timeout=60, check=False
    )


def test_measure_prints_profile_digest_and_sections() -> None:
    """`measure --xml` prints the measurement as JSON."""
    done = sealward("measure", "--xml", str(DOMAINS / "real1-qemu.1-defined.inactive.xml"))
    shown = json.loads(done.stdout)

    assert done.returncode == 0
    assert shown["profile"] == "libvirt-domain/3"
    assert len(shown["digest"]) == 64
    assert set(shown["sections"]) >= {"boot", "disks", "other"}


def test_diff_of_equal_dumps_says_nothing() -> None:
    """A dump with secrets measures as the one without, and `diff` ends with status 0."""
    done = sealward(
        "diff",
        "--xml",
        str(DOMAINS / "real1-qemu.1-defined.inactive.xml"),
        str(DOMAINS / "real1-qemu.1-defined.inactive-secure.xml"),
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_diff_prints_a_finding_a_line() -> None:
    """`diff` names what was attached and ends with status 1."""
    done = sealward(
        "diff",
        "--xml",
        str(DOMAINS / "real1-qemu.3-booted.inactive.xml"),
        str(DOMAINS / "real1-qemu.4-attached.inactive.xml"),
    )

    assert done.returncode == 1
    assert done.stdout.startswith("interfaces: ") or "/domain/devices" in done.stdout


def test_refused_xml_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    """XML that is refused ends with status 2 and one line."""
    bad = tmp_path / "bad.xml"
    bad.write_text("<!DOCTYPE domain><domain/>")
    done = sealward("measure", "--xml", str(bad))

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
