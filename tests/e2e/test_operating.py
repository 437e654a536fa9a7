"""docs/operations.md, block by block as it stands, on the real topology; every alert has its entry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from programs import started
from running import DATABASE, WEB, until

from stack.postgres import binaries
from stack.processes import free_port
from stack.rabbitmq import program
from stack.sealward import Stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
Run = Callable[[str], str]


def blocks(heading: str) -> list[str]:
    """Return the blocks of shell under a heading."""
    level = "###" if f"\n### {heading}\n" in PAGE else "##"
    text = PAGE.partition(f"\n{level} {heading}\n")[2]
    return BLOCK.findall(re.split(rf"^#{{2,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0])


ENTRIES = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """Return what the blocks find their way by; systemctl does nothing, for the stack is no unit."""
    programs = {
        "sealward": f'exec {sys.executable} -m sealward "$@"',
        "rabbitmqctl": f'exec {program("rabbitmqctl")} "$@"',
        "systemctl": 'echo "$@" >> systemctl.log',
    }
    (tmp_path / "bin").mkdir()
    for name, line in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    secrets = stack.secrets
    return stack.rabbitmq.environment | {
        "PATH": f"{tmp_path}/bin:{binaries()}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SEALWARD_URL": stack.apis["api-1"],
        "SEALWARD_TOKEN": stack.token,
        "SEALWARD_DATABASE_URL": stack.database_as("owner"),
        "SEALWARD_BROKER_URL_FILE": str(secrets / "worker-broker-url"),
        "SEALWARD_AUTHORITY_KEY": str(secrets / "authority-key"),
        "SEALWARD_DATA_DIR": str(tmp_path / "data"),
        "AGENT_DATA_DIR": str(stack.folder / "agent-1"),
        "DATABASE_URL": stack.postgres.url(),
        "RESTORED_URL": stack.postgres.url("restored", "sealward_owner"),
        "ANOTHER": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Return what runs a block to its end."""

    def run_it(block: str) -> str:
        done = subprocess.run(  # noqa: S603 - the procedures under test
            ["/bin/bash", "-euo", "pipefail", "-c", block],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_it


def well(stack: Stack) -> None:
    """Wait until nothing is wrong, and WEB and DATABASE are signed and vouched for."""
    until(lambda: stack.ask("GET", "/healthcheck?detailed")[1]["problems"] == [], 40)
    for server_id in (WEB, DATABASE):
        stack.ask("POST", "/v1/sign", {"server_id": server_id})
        until(lambda server_id=server_id: is_valid(stack, server_id) == "true", 40)  # type: ignore[misc]


def is_valid(stack: Stack, server_id: str) -> str:
    """Return what GET says."""
    return str(stack.ask("GET", f"/v1/sign/{server_id}")[1]["sign"]["is_valid"])


def test_every_alert_has_its_entry() -> None:
    """And every entry its alert."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]

    assert [rule["alert"] for group in rules for rule in group["rules"]] == ENTRIES


def test_install_and_upgrade(run: Run, tmp_path: Path) -> None:
    """A key, the schema, a node's user, tokens; then a newer version on the same database."""
    key, schema, enroll, token = blocks("Install")
    run(key)
    assert "PRIVATE KEY" in (tmp_path / "authority-key").read_text()
    assert "projections: " in run(schema)
    run(enroll)
    assert (tmp_path / "kvm9.broker-url").read_text().startswith("amqps://node.kvm9:")
    assert "alice\tsecurity-officer" in run(token)
    (upgrade,) = blocks("Upgrade")
    assert "up to date" in run(upgrade)
    assert "stop sealward-api sealward-worker" in (tmp_path / "systemctl.log").read_text()
    revoke, password, *_ = blocks("Rotate keys and tokens")
    run(revoke)
    names = [line.partition("\t")[0] for line in run("sealward token list").splitlines()]
    assert ("alice" in names, "alice-2" in names) == (False, True)
    secret = (tmp_path / "alice.token").read_text().strip()
    headers = f'-H "X-Auth-Token: {secret}"'
    assert "signs" in run(f'curl -fsS {headers} "$SEALWARD_URL/v1/sign?limit=1"')
    run(password)
    run(
        "rabbitmqctl --quiet authenticate_user node.kvm9 < kvm9.password\n"
        "rabbitmqctl --quiet delete_user node.kvm9"
    )


def test_back_up_and_restore(stack: Stack, run: Run) -> None:
    """The restored database has the same signs, and rows that the log gives."""
    well(stack)
    save, restore, _ = blocks("Back up and restore")
    run(save)
    try:
        assert run(restore).endswith(": 0 differences\n")
        rows = 'psql -Atc "SELECT server_id, sign_id FROM main.signs ORDER BY 1"'
        before, after = (run(f'{rows} "{url}"') for url in ("$DATABASE_URL", "$RESTORED_URL"))
        assert before == after != ""
    finally:
        run('dropdb --force --maintenance-db="$DATABASE_URL" restored')


def test_back_up_and_restore_the_embedded_default(run: Run, tmp_path: Path) -> None:
    """Copied while it runs; the copy has the signs, and its keys."""
    *_, copy = blocks("Back up and restore")
    with started(tmp_path) as process:
        _, posted = process.ask("POST", "/v1/sign", {"server_id": WEB})
        run(copy)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "backup", tmp_path / "elsewhere" / "data")
    with started(tmp_path / "elsewhere") as restored:
        _, got = restored.ask("GET", f"/v1/sign/{WEB}")
        assert got["sign"]["id"] == posted["sign"]["id"]
        until(lambda: restored.ask("GET", f"/v1/sign/{WEB}")[1]["sign"]["is_valid"] == "true", 20)


def test_scale_out(run: Run) -> None:
    """Another API process and another worker join, and leave."""
    (block,) = blocks("Scale out")

    assert run(block) == '{"status":"ok"}'


def test_what_to_watch(run: Run) -> None:
    """Metrics, health in detail, and from the command line."""
    (block,) = blocks("What to watch")
    shown = run(block)

    assert 'sealward_verdicts{is_valid="true"}' in shown
    assert '"projections":{"position":' in shown
    assert "relay: 0 events behind" in shown


@pytest.mark.parametrize("entry", [one for one in ENTRIES if blocks(one)])
def test_what_to_do_when(stack: Stack, run: Run, entry: str) -> None:
    """What an entry has to be typed can be typed."""
    well(stack)
    for block in blocks(entry):
        run(block)


def restart(stack: Stack, *names: str, **settings: str | None) -> None:
    """Restart processes with settings changed; None takes one away."""
    for name, value in settings.items():
        stack.settings.pop(name, None)
        if value is not None:
            stack.settings[name] = value
    for name in names:
        stack.kill(name)
        stack.start_process(name)


def test_the_authoritys_key_is_changed(stack: Stack, run: Run, tmp_path: Path) -> None:
    """Nodes believe the next key because the one before has told them; no verdict changes meanwhile."""
    well(stack)
    *_, make, change, sign_anew = blocks("Rotate keys and tokens")
    pinned = stack.folder / "agent-1" / "node" / "authority.pub"
    before = pinned.read_text()
    workers = ("worker-1", "worker-2")
    beside, earlier = str(tmp_path / "authority-beside.pub"), str(tmp_path / "authority-earlier.pub")
    run(make)
    new = (tmp_path / "authority-beside.pub").read_text()
    restart(stack, *workers, "agent-1", SEALWARD_AUTHORITY_BESIDE=beside)
    until(lambda: pinned.read_text() == before + new, 40)
    run(change)
    restart(stack, *workers, SEALWARD_AUTHORITY_EARLIER=earlier)
    well(stack)
    restart(stack, *workers, "agent-1", SEALWARD_AUTHORITY_BESIDE=None)
    until(lambda: pinned.read_text() == new, 40)
    well(stack)
    run("openssl pkey -in $SEALWARD_AUTHORITY_KEY -pubout -out new.pub")
    envelope = f'curl -fsS -H "X-Auth-Token: $SEALWARD_TOKEN" "$SEALWARD_URL/v1/sign/{WEB}/envelope"'
    assert "verified: signed by 1 of 1 keys" in run(f"{envelope} | sealward verify - --key {earlier}")

    run(sign_anew)
    until(lambda: "verified" in run(f"{envelope} | sealward verify - --key new.pub || true"), 40)
    restart(stack, *workers, "agent-1", SEALWARD_AUTHORITY_EARLIER=None)
    well(stack)


def test_a_nodes_key_is_replaced(stack: Stack, run: Run, tmp_path: Path) -> None:
    """Its agent is killed in the middle of it; it comes back with the new key, and signs are as they were."""
    well(stack)
    make, name, collect = blocks("Replace a node's key")
    run(make)
    stack.kill("agent-1")
    run(name)
    stack.start_process("agent-1")
    new = (tmp_path / "next.pub").read_text()
    until(lambda: (stack.folder / "agent-1" / "node" / "key.pub").read_text() == new, 40)
    well(stack)
    run(collect)

    assert stack.ask("GET", "/v1/node/1")[1]["node"]["public_key"] == new
    assert new in (tmp_path / "keys-of-nodes.pem").read_text()


def test_a_node_is_let_in_and_removed(stack: Stack, run: Run) -> None:
    """With its user and its queue at the broker."""
    enroll = blocks("Install")[2]
    key, let_in, remove, expel = blocks("Let a node in, and remove one")
    run(enroll)
    run(key)
    run(let_in)
    listed = [one["hostname"] for one in stack.ask("GET", "/v1/node")[1]["nodes"]]
    run(remove)
    run(expel)
    left = [one["hostname"] for one in stack.ask("GET", "/v1/node")[1]["nodes"]]

    assert ("kvm9" in listed, "kvm9" in left) == (True, False)
    assert "node.kvm9" not in run("rabbitmqctl --quiet list_users")
    assert "node.kvm9" not in run("rabbitmqctl --quiet list_queues name")
