"""The hook as libvirt runs it: a real shell and a real Python, with an agent and without."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuse import hung
from images import qemu_img
from running import WEB, Running, running, until

from sealward.events.enforcement import Gate
from sealward.node_agent.gate import hook
from sealward.node_agent.gate.decision.conclusion import Conclusion
from sealward.node_agent.gate.hook import HookRefused, Standing
from sealward.node_agent.hypervisor.fleet import SampleFleet
from sealward.settings import Settings

pytestmark = pytest.mark.heavy

SECRET = "hunter2-of-the-hook"  # noqa: S105 - made up, to be looked for


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[tuple[Running, Path]]:
    """Return a Sealward whose only signed server may not start otherwise, and the hook."""
    place = install(tmp_path)
    with running(tmp_path / "sw") as sealward:
        sealward.sign()
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of(WEB).set_by == position)
        yield sealward, place


def install(folder: Path) -> Path:
    """Install the hook for the ledger below a folder."""
    node = folder / "sw" / "node"
    return hook.install(folder / "hooks", node, node / "gate.sock", folder / "in")


def run(place: Path, xml: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the hook as libvirt does."""
    return subprocess.run(  # noqa: S603 - our own script
        [place, "instance-00000068", *words],
        input=xml,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": "/"},
    )


def shown(fleet: SampleFleet) -> tuple[str, str]:
    """Return the signed server as it is, and with another disk."""
    xml = fleet.xml(WEB)
    return xml, xml.replace("/disk'", f"/other?password={SECRET}'")


def test_with_and_without_its_agent_it_decides_the_same(gated: tuple[Running, Path], tmp_path: Path) -> None:
    """As signed it starts; otherwise section and XPath stand on stderr; secrets nowhere, stdout empty."""
    sealward, place = gated
    good, bad = shown(sealward.fleet)
    online = [run(place, xml, "prepare", "begin", "-") for xml in (good, bad)]
    sealward.embedded.agent.stop()
    alone = [run(place, xml, "prepare", "begin", "-") for xml in (good, bad)]
    written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())

    for equal, other in (online, alone):
        assert (equal.returncode, equal.stdout, equal.stderr) == (0, "", "")
        assert (other.returncode, other.stdout) == (1, "")
        assert 'disks: /domain/devices/disk[target/@dev="vda"]/source/@file' in other.stderr
        assert SECRET not in other.stderr
    assert SECRET.encode() not in written
    assert len(list((tmp_path / "sw/node/spool").glob("*.json"))) >= 1


def test_objections_made_alone_are_recorded_once(gated: tuple[Running, Path], tmp_path: Path) -> None:
    """As soon as the agent is back."""
    sealward, place = gated
    _, bad = shown(sealward.fleet)
    sealward.embedded.agent.stop()
    run(place, bad, "prepare", "begin", "-")
    run(place, bad, "prepare", "begin", "-")
    sealward.embedded.stop()
    with running(tmp_path / "sw", sealward.fleet) as again:

        def refused() -> int:
            return len(again.ask("GET", "/v1/events?type=start.refused").json["events"])

        until(lambda: refused() == 2)
        until(lambda: not list((tmp_path / "sw/node/spool").glob("*.json")))
        assert refused() == 2


def test_an_agent_that_hangs_is_not_waited_for(gated: tuple[Running, Path]) -> None:
    """A process that takes the connection and says nothing: two seconds at most, and the right answer."""
    sealward, place = gated
    _, bad = shown(sealward.fleet)
    sealward.embedded.agent._gate._decided = lambda *_: time.sleep(5)  # type: ignore[method-assign, assignment]  # it hangs
    began = time.monotonic()
    done = run(place, bad, "prepare", "begin", "-")

    assert time.monotonic() - began < 2.0
    assert done.returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ("reconnect", "begin", "-"),
        ("start", "begin", "-"),
        ("started", "begin", "-"),
        ("stopped", "end", "-"),
        ("release", "end", "-"),
        ("migrate", "begin", "-"),
        ("restore", "begin", "-"),
        ("prepare", "end", "-"),
        (),
    ],
)
def test_other_operations_pass_without_a_word(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What is printed in some of them would become the server's XML; reconnect must never fail."""
    done = run(install(tmp_path), "<domain/>", *words)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("xml", ["", "<domain/>", "no xml", "<domain><uuid>x</uuid></domain>", "\x00" * 100])
def test_what_cannot_be_read_is_refused_where_the_policy_says_so(
    gated: tuple[Running, Path], xml: str
) -> None:
    """With the agent and without."""
    sealward, place = gated
    online = run(place, xml, "prepare", "begin", "-")
    sealward.embedded.agent.stop()
    alone = run(place, xml, "prepare", "begin", "-")

    assert (online.returncode, online.stdout, alone.returncode, alone.stdout) == (1, "", 1, "")


def test_a_ledger_that_went_back_is_noticed(gated: tuple[Running, Path], tmp_path: Path) -> None:
    """An older reference verifies, and is not in force any more."""
    sealward, place = gated
    node = tmp_path / "sw" / "node"
    good, _ = shown(sealward.fleet)
    sealward.embedded.agent.stop()
    before = run(place, good, "prepare", "begin", "-").returncode
    with sqlite3.connect(node / "generations.sqlite") as seen:
        seen.execute("UPDATE generations SET generation = 2")
    seen.close()
    done = run(place, good, "prepare", "begin", "-")

    assert before == 0
    assert (done.returncode, "older than one that was there before" in done.stderr) == (1, True)


def test_many_starts_at_once_are_all_answered(gated: tuple[Running, Path]) -> None:
    """As when a node boots."""
    sealward, place = gated
    good, _ = shown(sealward.fleet)
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(run(place, good, "prepare", "begin", "-").returncode))
        for _ in range(12)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)

    assert codes == [0] * 12


def test_nobody_elses_hook_is_touched(tmp_path: Path) -> None:
    """Neither overwritten nor removed."""
    place = tmp_path / "hooks" / "qemu.d" / "sealward"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(HookRefused):
        install(tmp_path)
    with pytest.raises(HookRefused):
        hook.remove(tmp_path / "hooks", tmp_path / "sw" / "node")

    assert place.read_text() == "#!/bin/sh\nexit 0\n"


def test_the_gate_stands_only_as_it_was_installed(tmp_path: Path) -> None:
    """Gone, not executable, writable by others, edited: each has its reason."""
    node = tmp_path / "sw" / "node"
    found = [hook.standing(node)]
    place = install(tmp_path)
    text = place.read_text()
    found.append(hook.standing(node))
    place.chmod(0o644)
    found.append(hook.standing(node))
    place.chmod(0o777)
    found.append(hook.standing(node))
    place.chmod(0o755)
    for folder in (place.parent, place.parent.parent):
        folder.chmod(0o777)
        found.append(hook.standing(node))
        folder.chmod(0o755)
    place.write_text(text + "exit 0\n")
    found.append(hook.standing(node))
    place.unlink()
    found.append(hook.standing(node))
    hook.remove(tmp_path / "hooks", node)
    found.append(hook.standing(node))

    assert [(one.gate, one.reason) for one in found] == [
        (Gate.ABSENT, None),
        (Gate.ACTIVE, None),
        (Gate.DEGRADED, "hook-not-executable"),
        (Gate.DEGRADED, "hook-not-protected"),
        (Gate.DEGRADED, "hook-not-protected"),
        (Gate.DEGRADED, "hook-not-protected"),
        (Gate.DEGRADED, "hook-changed"),
        (Gate.DEGRADED, "hook-missing"),
        (Gate.ABSENT, None),
    ]
    assert Standing(Gate.ABSENT) == found[0]


def test_a_change_of_the_hook_is_noticed_at_once(gated: tuple[Running, Path], tmp_path: Path) -> None:
    """Presence, mode and content, by the file system's word: the next sweep is a minute away."""
    sealward, place = gated

    def shown() -> tuple[str, str | None]:
        node = sealward.ask("GET", "/v1/node/1").json["node"]
        return node["enforcement"], node["enforcement_reason"]

    text = place.read_text()
    until(lambda: shown() == ("active", None))
    place.chmod(0o644)
    until(lambda: shown() == ("degraded", "hook-not-executable"))
    place.chmod(0o755)
    until(lambda: shown() == ("active", None))
    place.write_text(text + "exit 0\n")
    until(lambda: shown() == ("degraded", "hook-changed"))
    place.unlink()
    until(lambda: shown() == ("degraded", "hook-missing"))
    install(tmp_path)
    until(lambda: shown() == ("active", None))
    hook.remove(tmp_path / "hooks", tmp_path / "sw" / "node")
    until(lambda: shown() == ("absent", None))


def test_an_answer_that_comes_too_late_is_reported_by_nobody(gated: tuple[Running, Path]) -> None:
    """The hook has decided by then, and that is reported."""
    sealward, place = gated
    _, bad = shown(sealward.fleet)
    listener = sealward.embedded.agent._gate
    decided, done = listener._decided, threading.Event()
    left = threading.Event()

    def late(form: str, xml: bytes, is_late: Callable[[], bool]) -> Conclusion:
        left.wait(20)
        try:
            return decided(form, xml, is_late)
        finally:
            done.set()

    listener._decided = late  # type: ignore[method-assign]  # it stands still
    assert run(place, bad, "prepare", "begin", "-").returncode == 1
    left.set()
    assert done.wait(20)
    sealward.embedded.agent._wake(0.0)  # the agent looks into its spool
    until(lambda: len(sealward.ask("GET", "/v1/events?type=start.refused").json["events"]) == 1)
    until(lambda: not list((place.parents[2] / "sw/node/spool").glob("*.json")))

    assert len(sealward.ask("GET", "/v1/events?type=start.refused").json["events"]) == 1


@pytest.mark.parametrize("with_agent", [True, False])
def test_files_that_never_answer_hold_up_no_start(tmp_path: Path, *, with_agent: bool) -> None:
    """Nobody can interrupt who touches them: the hook leaves that to a process, and leaves that behind."""
    place = install(tmp_path)
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "vmlinuz").write_bytes(b"kernel")
    with running(tmp_path / "sw", settings=Settings(files="yes")) as sealward:
        disk = tmp_path / "disk"
        qemu_img("create", "-f", "qcow2", disk, "1M")
        sealward.fleet.replace(WEB, f"/var/lib/nova/instances/{WEB}/disk'", f"{disk}'")
        sealward.fleet.replace(WEB, "</os>", f"<kernel>{boot / 'vmlinuz'}</kernel></os>")
        sealward.fleet.stop(WEB)
        sealward.fleet.start(WEB)
        sealward.sign()
        until(lambda: sealward.is_valid() == "true")
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of(WEB).set_by == position)
        xml = sealward.fleet.xml(WEB)
        if not with_agent:
            sealward.embedded.agent.stop()
        answered = run(place, xml, "prepare", "begin", "-")
        with hung(boot):
            began = time.monotonic()
            late = run(place, xml, "prepare", "begin", "-")
            took = time.monotonic() - began
    print(f"decided after {took:.2f} s")

    assert answered.returncode == 0, answered.stderr
    assert (late.returncode, late.stdout) == (1, "")
    assert "no time to compare" in late.stderr
    assert took < 8  # without a process apart it would not end at all; a machine may be busy
