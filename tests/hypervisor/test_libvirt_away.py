"""libvirt restarted, killed, hung, and busy: unknown with the reason, and all well again by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import libvirt
import pytest
from nodes import CONFIG, PrivateNode, Running, watching
from running import until

from sealward.node_agent.hypervisor import connection
from stack.guest import Guest

HUNG_FOR = 3.0
"""Seconds until a hung libvirt counts as gone under the keepalive of these tests, (1, 2)."""
HOOK = "#!/bin/sh\n[ $2 = prepare ] && exec sleep 30\nexit 0\n"


@pytest.fixture(autouse=True)
def _keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE", (1, 2))


def test_a_restart_is_no_violation_and_what_changed_meanwhile_is_one(guest: Running) -> None:
    """Unknown at most while it is away; then everything is looked at again."""
    with watching(guest.node) as sealward:
        sealward.sign(guest.server_id)
        guest.node.restart()
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        assert all(
            one["data"]["is_valid"] != "false"
            for one in sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
            if one["type"] == "sign.validated"
        )
        guest.node.daemon.stop()
        file = guest.node.daemon.config_dir / f"{guest.guest.name}.xml"
        file.write_text(file.read_text().replace("qemu64", "qemu32"))
        until(lambda: sealward.is_valid(guest.server_id) == "unknown")
        assert sealward.verdict(guest.server_id)["reasons"] == ["libvirt-gone"]
        guest.node.daemon.start()
        until(lambda: sealward.is_valid(guest.server_id) == "false")


def test_a_killed_libvirt_is_unknown_at_once(guest: Running) -> None:
    """The connection breaks; the guest runs on, and nobody can say what it is."""
    with watching(guest.node) as sealward:
        sealward.sign(guest.server_id)
        guest.node.daemon.kill()
        seconds = until(lambda: sealward.is_valid(guest.server_id) == "unknown")
        assert sealward.verdict(guest.server_id)["reasons"] == ["libvirt-gone"]
        guest.node.daemon.start()
        until(lambda: sealward.is_valid(guest.server_id) == "true")

    assert seconds < 1


def test_a_hung_libvirt_is_unknown_within_the_keepalive(guest: Running) -> None:
    """Nothing breaks, nothing answers; when it goes on, so does the agent, with what changed meanwhile."""
    with watching(guest.node) as sealward:
        sealward.sign(guest.server_id)
        connection = guest.node.connection
        guest.node.daemon.signal(signal.SIGSTOP)
        seconds = until(lambda: sealward.verdict(guest.server_id)["reasons"] == ["libvirt-gone"])
        assert sealward.is_valid(guest.server_id) == "unknown"
        guest.node.daemon.signal(signal.SIGCONT)
        until(lambda: sealward.is_valid(guest.server_id) == "true", 20)
        assert connection.isAlive()
        guest.domain.setMemoryFlags(96 * 1024, CONFIG)
        until(lambda: sealward.is_valid(guest.server_id) == "false")

    assert seconds < HUNG_FOR + 2


def test_an_agent_answers_while_libvirt_hangs(guest: Running) -> None:
    """A validation that was ordered then fails with the reason, after the keepalive and not never."""
    with watching(guest.node) as sealward:
        sealward.sign(guest.server_id)
        guest.node.daemon.signal(signal.SIGSTOP)
        task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
        seconds = until(lambda: sealward.task(task)["state"] == "FAILURE")
        guest.node.daemon.signal(signal.SIGCONT)
        until(lambda: sealward.is_valid(guest.server_id) == "true", 20)

    assert seconds < HUNG_FOR + 2


@contextlib.contextmanager
def locked(guest: Running) -> Iterator[None]:
    """Start a guest behind a hook that does not end: libvirt holds its lock meanwhile."""
    hook = guest.node.daemon.hooks_dir / "qemu"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    guest.node.daemon.signal(signal.SIGHUP)  # hooks are looked for
    other = libvirt.open(guest.node.daemon.uri)
    domain = other.lookupByUUIDString(guest.server_id)

    def start() -> None:
        with contextlib.suppress(libvirt.libvirtError):
            domain.create()

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    try:
        yield
    finally:
        guest.node.daemon.end_hooks()
        thread.join(10)
        other.close()


def test_a_locked_domain_is_unknown_and_holds_up_no_other(node: PrivateNode, guest: Running) -> None:
    """While a start hangs in a hook, other servers are judged; when it is over, so is the unknown."""
    waiting = node.define(replace(Guest(node.guests), number=2))
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        sealward.sign(waiting.server_id)
        with locked(waiting):
            task = sealward.ask("POST", f"/v1/sign/{waiting.server_id}/validate").json["task_id"]
            until(lambda: sealward.task(task)["state"] == "FAILURE")
            assert sealward.verdict(waiting.server_id)["reasons"] == ["domain-locked"]
            guest.domain.setMemoryFlags(96 * 1024, CONFIG)
            until(lambda: sealward.is_valid(guest.server_id) == "false", 8)
        until(lambda: sealward.is_valid(waiting.server_id) == "true")
