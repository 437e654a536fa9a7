"""What root writes, beside users who own the folders: links, hard links, pipes and races lead nowhere."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sealward.events.enforcement import Gate
from sealward.node_agent.gate import guarded, hook
from sealward.node_agent.gate.guarded import PathRefused

NOBODY = 65534
SECRET = "for root's eyes\n"  # noqa: S105 - made up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to be misled")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a file of root's that nobody may change."""
    path = tmp_path / "victim"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return the data directory of an agent that is another user, with what is in it."""
    for folder in (tmp_path, *tmp_path.parents):  # pytest keeps its folders for their owner
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    place = tmp_path / "agent"
    (place / "node").mkdir(parents=True)
    for made in (place, place / "node"):
        made.chmod(0o700)
        os.chown(made, NOBODY, NOBODY)
    return place


def install(folder: Path, data_dir: Path) -> Path:
    """Install the hook for that agent, with hooks in a folder of root's."""
    node = data_dir / "node"
    return hook.install(folder / "hooks", node, node / "gate.sock", folder / "in")


def is_untouched(victim: Path) -> bool:
    """Say whether root's file is as it was: content, mode and owner."""
    found = victim.stat()
    return (victim.read_text(), stat.S_IMODE(found.st_mode), found.st_uid) == (SECRET, 0o600, 0)


PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda receipt, victim: receipt.symlink_to(victim),
    "relative link": lambda receipt, victim: receipt.symlink_to(f"../../{victim.name}"),
    "link to nothing": lambda receipt, victim: receipt.symlink_to(victim.with_name("made")),
    "hard link": lambda receipt, victim: receipt.hardlink_to(victim),
    "pipe": lambda receipt, _: os.mkfifo(receipt),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_the_receipt_takes_the_place_of_what_the_agents_user_has_put_there(
    tmp_path: Path, data_dir: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    """Nothing is written through a link of any kind; the receipt is a file of that user."""
    receipt = data_dir / "node" / hook.RECEIPT
    plant(receipt, victim)
    install(tmp_path, data_dir)
    found = receipt.lstat()

    assert is_untouched(victim)
    assert not victim.with_name("made").exists()
    assert (stat.S_ISREG(found.st_mode), stat.S_IMODE(found.st_mode), found.st_uid) == (True, 0o600, NOBODY)
    assert hook.standing(data_dir / "node").gate is Gate.ACTIVE


def test_a_folder_where_the_receipt_would_be_is_refused(tmp_path: Path, data_dir: Path) -> None:
    """It is neither emptied nor written to."""
    (data_dir / "node" / hook.RECEIPT).mkdir()
    with pytest.raises(PathRefused):
        install(tmp_path, data_dir)


@pytest.mark.parametrize("which", ["node", "agent"])
def test_a_folder_on_the_way_that_is_somebody_elses_link_is_refused(
    tmp_path: Path, data_dir: Path, which: str
) -> None:
    """Else root would write where that user cannot."""
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o700)
    if which == "node":
        (data_dir / "node").rmdir()
        (data_dir / "node").symlink_to(roots)
    else:
        (tmp_path / "home").mkdir()
        os.chown(tmp_path / "home", NOBODY, NOBODY)
        data_dir = tmp_path / "home" / "agent"
        data_dir.symlink_to(roots)
    for call in (install, lambda _, where: hook.remove(tmp_path / "hooks", where / "node")):
        with pytest.raises(PathRefused):
            call(tmp_path, data_dir)

    assert list(roots.iterdir()) == []


def test_a_link_that_root_has_made_is_followed(tmp_path: Path, data_dir: Path) -> None:
    """An administrator may keep the data elsewhere."""
    (tmp_path / "elsewhere").symlink_to(data_dir)
    install(tmp_path, tmp_path / "elsewhere")

    assert (data_dir / "node" / hook.RECEIPT).exists()


def test_before_the_first_start_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    """And modes of those that are there are not widened."""
    install(tmp_path, tmp_path / "fresh")
    made = [stat.S_IMODE((tmp_path / one).stat().st_mode) for one in ("fresh", "fresh/node")]
    (tmp_path / "kept").mkdir(mode=0o710)
    (tmp_path / "kept").chmod(0o710)
    install(tmp_path, tmp_path / "kept")

    assert made == [0o700, 0o700]
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o710


def test_what_is_made_in_anothers_folder_is_that_users(tmp_path: Path, data_dir: Path) -> None:
    """So the agent can use it."""
    (data_dir / "node").rmdir()
    install(tmp_path, data_dir)

    assert (data_dir / "node").stat().st_uid == NOBODY


def _owned(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)


OPEN: dict[str, Callable[[Path], None]] = {
    "another's": _owned,
    "writable for a group": lambda folder: folder.chmod(0o775),
    "writable for all": lambda folder: folder.chmod(0o777),
    "sticky": lambda folder: folder.chmod(0o1777),
}


@pytest.mark.parametrize("which", ["hooks", "hooks/qemu.d"])
@pytest.mark.parametrize("opened", OPEN.values(), ids=OPEN)
def test_hooks_that_others_can_change_are_not_added_to(
    tmp_path: Path, data_dir: Path, which: str, opened: Callable[[Path], None]
) -> None:
    """As root, libvirt runs what is there."""
    (tmp_path / "hooks" / "qemu.d").mkdir(parents=True)
    opened(tmp_path / which)
    if which == "hooks" and opened is OPEN["sticky"]:
        return  # nobody can rename what is root's in a sticky folder
    with pytest.raises(PathRefused, match="can be changed by"):
        install(tmp_path, data_dir)

    assert list((tmp_path / "hooks" / "qemu.d").iterdir()) == []


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_hook_that_is_no_plain_file_is_left_alone(
    tmp_path: Path, data_dir: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    """Neither followed, nor waited for, nor overwritten."""
    place = tmp_path / "hooks" / "qemu.d" / "sealward"
    place.parent.mkdir(parents=True)
    plant(place, victim)
    for call in (install, lambda *_: hook.remove(tmp_path / "hooks", data_dir / "node")):
        with pytest.raises((PathRefused, hook.HookRefused)):
            call(tmp_path, data_dir)

    assert is_untouched(victim)
    assert os.path.lexists(place)


def test_marks_are_not_put_where_others_can_write(tmp_path: Path, data_dir: Path) -> None:
    """The hook writes there as root."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    node = data_dir / "node"
    with pytest.raises(PathRefused):
        hook.install(tmp_path / "hooks", node, node / "gate.sock", shared / "in")
    (shared / "in").mkdir()
    os.chown(shared / "in", NOBODY, NOBODY)
    with pytest.raises(PathRefused):
        hook.install(tmp_path / "hooks", node, node / "gate.sock", shared / "in")


def _swap(node: str, victim: str) -> None:
    """Be the agent's user, who puts a link and a folder where root is about to write, again and again."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    receipt, real, place = Path(node, hook.RECEIPT), Path(f"{node}.real"), Path(node)
    steps: tuple[Callable[[], object], ...] = (
        lambda: receipt.symlink_to(victim),
        receipt.unlink,
        lambda: place.rename(real),
        lambda: place.symlink_to(Path(victim).parent),
        place.unlink,
        lambda: real.rename(place),
    )
    while True:
        for step in steps:
            with contextlib.suppress(OSError):
                step()


@pytest.mark.alone  # two processes race
def test_a_race_is_not_won(tmp_path: Path, data_dir: Path, victim: Path) -> None:
    """Names are looked up once, and what is open is what is written to."""
    before = {one.name for one in tmp_path.iterdir()}
    swapping = multiprocessing.get_context("spawn").Process(
        target=_swap, args=(str(data_dir / "node"), str(victim)), daemon=True
    )
    swapping.start()
    outcomes: list[str] = []
    try:
        least, deadline = time.monotonic() + 3, time.monotonic() + 40  # a spawned Python has to start
        while time.monotonic() < least or (len(set(outcomes)) < 2 and time.monotonic() < deadline):
            try:
                guarded.as_owner(data_dir / "node", lambda own: own.write(hook.RECEIPT, b"{}", 0o600), 0o700)
                outcomes.append("written")
            except (PathRefused, OSError):
                outcomes.append("refused")
    finally:
        swapping.kill()
        swapping.join(10)
    print({one: outcomes.count(one) for one in set(outcomes)})

    assert is_untouched(victim)
    assert {one.name for one in tmp_path.iterdir()} - {"hooks", "in"} == before
    assert len(set(outcomes)) == 2  # the race was one


@pytest.mark.parametrize("which", ["node", "spool"])
def test_a_hook_that_decides_alone_is_led_nowhere(tmp_path: Path, data_dir: Path, which: str) -> None:
    """It is root at first, and leaves its objection in a folder of the agent's user."""
    place = install(tmp_path, data_dir)
    roots = tmp_path / "roots"
    roots.mkdir()
    link = data_dir / "node" if which == "node" else data_dir / "node" / "spool"
    if which == "node":
        (data_dir / "node").rename(data_dir / "before")
    link.symlink_to(roots)
    done = subprocess.run(  # noqa: S603 - our own script
        [place, "stranger", "prepare", "begin", "-"],
        input="<domain><uuid>",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert "Sealward" in done.stderr
    assert list(roots.iterdir()) == []


def test_looking_as_root_waits_for_nothing_and_reads_no_device(data_dir: Path) -> None:
    """`gate status` reads what the agent's user has left there."""
    node = data_dir / "node"
    os.mkfifo(node / hook.RECEIPT)
    waited = hook.standing(node)
    (node / hook.RECEIPT).unlink()
    (node / hook.RECEIPT).write_text('{"hook": "/dev/zero", "shim": "", "client": ""}')
    endless = hook.standing(node)

    assert (waited.reason, endless.reason) == ("receipt-unreadable", "hook-unreadable")


def sealward(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a sub-command as root on that data directory."""
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "sealward", *words],
        env={"PATH": os.environ["PATH"], "SEALWARD_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("token", "issue", "mallory"), "control.sqlite"),
        (("token", "list"), "control.sqlite"),
        (("replay",), "log.sqlite"),
        (("node", "key"), "node/key.pem"),
        (("node", "key", "--new"), "node/key-next.pem"),
        (("run",), "lock"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_no_command_of_root_works_on_anothers_data(
    data_dir: Path, victim: Path, words: tuple[str, ...], name: str
) -> None:
    """It says whose it is; nothing is made, and no link is followed."""
    (data_dir / name).symlink_to(victim)
    done = sealward(data_dir, *words)

    assert done.returncode == 2, done.stdout
    assert "nobody" in done.stderr
    assert is_untouched(victim)


def test_a_nodes_key_is_made_in_no_folder_that_a_link_leads_to(tmp_path: Path, data_dir: Path) -> None:
    """A folder of root's passes for the caller's own, and is not what was meant."""
    (tmp_path / "roots").mkdir()
    (data_dir / "node").rmdir()
    (data_dir / "node").symlink_to(tmp_path / "roots")
    done = sealward(data_dir, "node", "key", "--new")

    assert done.returncode == 2
    assert list((tmp_path / "roots").iterdir()) == []


def test_what_enrolling_prints_writes_to_no_file_that_is_there(tmp_path: Path, victim: Path) -> None:
    """Root runs it, perhaps in /tmp."""
    (tmp_path / "kvm9.password").symlink_to(victim)
    script = sealward(tmp_path / "sw", "node", "enroll", "kvm9").stdout
    done = subprocess.run(  # noqa: S603 - our own
        ["/bin/sh", "-c", script], cwd=tmp_path, capture_output=True, timeout=20, check=False
    )

    assert done.returncode != 0
    assert is_untouched(victim)
