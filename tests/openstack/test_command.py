"""The real `openstack` program, against a real Keystone and a running Sealward."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloud import USERS, Cloud
from programs import sealward
from running import BASTION, BATCH, DATABASE, WEB, Running, running, until

from sealward.events.signing import keys
from sealward.node_agent.hypervisor import connection
from sealward.settings import Settings
from stack.keystone import PASSWORD

OPENSTACK = str(Path(sys.executable).parent / "openstack")
"""The program as it is installed, for what a signal does to it."""


class Command:
    """Runs `openstack sign …` as a user of the cloud."""

    def __init__(self, cloud: Cloud, program: Path) -> None:
        self._cloud = cloud
        self._program = program

    def environment(self, user: str) -> dict[str, str]:
        """Return what the program reads."""
        scope = {"OS_PROJECT_NAME": "admin" if user == "admin" else USERS[user][1]}
        scope["OS_PROJECT_DOMAIN_NAME"] = "Default"
        if scope["OS_PROJECT_NAME"] == "system":
            scope = {"OS_SYSTEM_SCOPE": "all"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        return clean | self._cloud.keystone.environment(user, PASSWORD, **scope)

    def run(
        self, *words: str, user: str = "admin", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `openstack sign` with those words to its end."""
        return subprocess.run(  # noqa: S603 - a program of this environment
            [self._program, "sign", *words],
            env=self.environment(user) if env is None else env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *words: str, user: str = "admin") -> Any:  # noqa: ANN401 - whatever JSON there is
        """Return what it prints with -f json."""
        done = self.run(*words, "-f", "json", user=user)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sign(cloud: Cloud, shared: Running, openstack: Path) -> Command:
    """Return the command, with the Sealward of this module in the catalogue."""
    cloud.register(shared.url)
    return Command(cloud, openstack)


def test_the_life_of_a_sign(shared: Running, sign: Command) -> None:
    """Signed, changed behind its back, looked at, signed anew, validated, deleted: by a security officer."""
    created = sign.json("create", WEB, user="olga")
    shared.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
    until(lambda: shared.is_valid(WEB) == "false")
    verdict = sign.json("verdict", WEB, user="olga")
    again = sign.json("set", WEB, "--if-match", verdict["etag"], user="olga")
    task = sign.json("validate", WEB, "--wait", user="olga")
    history = sign.json("history", WEB, user="olga")
    deleted = sign.run("delete", WEB, user="olga")

    assert (created["is_valid"], created["server_id"]) == ("true", WEB)
    assert verdict["reasons"] == ["measurement-differs"]
    assert verdict["findings"][0]["section"] == "disks"
    assert (again["id"], again["is_valid"]) == (created["id"], "true")
    assert (task["state"], task["result"]["is_valid"]) == ("SUCCESS", "true")
    assert [one["Type"] for one in history if one["Actor"] == "user:olga"] == [
        "sign.created",
        "sign.updated",
        "sign.validation-requested",
    ]
    assert (deleted.returncode, deleted.stdout) == (0, "")
    assert shared.ask("GET", f"/v1/sign/{WEB}").status == 404


def test_lists_and_tables(shared: Running, sign: Command) -> None:
    """The formats that every list of OpenStack has."""
    shared.sign(DATABASE)
    (one,) = sign.json("list", user="rita")
    table = sign.run("list", "--is-valid", "true")
    values = sign.run("list", "-f", "value", "-c", "Server ID", "-c", "Is Valid")
    yaml = sign.run("show", DATABASE, "-f", "yaml", "-c", "is_valid")
    unsigned = sign.json("server", "list", "--unsigned")

    assert one["Server ID"] == DATABASE
    assert list(one) == [
        "ID",
        "Server ID",
        "Instance Name",
        "Node ID",
        "Is Valid",
        "Created At",
        "Updated At",
    ]
    assert f"| {DATABASE} |" in table.stdout
    assert values.stdout == f"{DATABASE} true\n"
    assert yaml.stdout == "is_valid: 'true'\n"
    assert {BATCH} <= {server["Server ID"] for server in unsigned}
    assert DATABASE not in {server["Server ID"] for server in unsigned}


def test_nodes_and_tasks(sign: Command) -> None:
    """Switching waits for what the node found; the task can be looked at later."""
    (node,) = sign.json("node", "list")
    task = sign.json("node", "activate", str(node["ID"]), "--wait")
    later = sign.json("task", "show", task["task_id"])
    shown = sign.json("node", "show", str(node["ID"]))
    off = sign.json("node", "deactivate", str(node["ID"]))

    assert (task["state"], later) == ("SUCCESS", task)
    assert (shown["hostname"], shown["active"]) == (node["Hostname"], True)
    assert off["name"] == "sealward.node.deactivate"


def test_a_nodes_key_is_named(sign: Command, tmp_path: Path) -> None:
    """From a file; the key that it has already changes nothing, and what is none is refused."""
    node = sign.json("node", "show", "1")
    file = tmp_path / "next.pub"
    file.write_text(node["public_key"])
    named = sign.json("node", "key", "set", "1", str(file))
    refused = sign.run("node", "key", "set", "1", str(file), user="olga")
    file.write_bytes(b"\xff garbage")
    garbage = sign.run("node", "key", "set", "1", str(file))

    assert named["keyid"] == node["keyid"]
    assert "The access rule node:replace-key does not allow this" in refused.stderr
    assert "(key.refused, HTTP 400" in garbage.stderr


def test_a_node_is_let_in_and_deleted(shared: Running, sign: Command, tmp_path: Path) -> None:
    """Not one with signs: the message says what to do about them."""
    file = tmp_path / "kvm9.pub"
    file.write_text(sign.json("node", "show", "1")["public_key"])
    created = sign.json("node", "create", "kvm9", str(file))
    deleted = sign.run("node", "delete", str(created["id"]))
    shared.sign(BASTION)
    held = sign.run("node", "delete", "1")
    shared.ask("DELETE", f"/v1/sign/{BASTION}")

    assert created["hostname"] == "kvm9"
    assert (deleted.returncode, deleted.stdout) == (0, "")
    assert [node["ID"] for node in sign.json("node", "list")] == [1]
    assert "Signed on this node: server " in held.stderr
    assert "(node.has-signs, HTTP 409" in held.stderr


def test_an_envelope_is_what_verify_reads(shared: Running, sign: Command, tmp_path: Path) -> None:
    """`-f json` prints the envelope as it is; with the authority's public key it is verified offline."""
    shared.sign(BASTION)
    envelope, key = tmp_path / "envelope.json", tmp_path / "authority.pub"
    authority = shared.embedded.control_plane.authority
    assert authority is not None
    key.write_text(keys.public_pem(authority.public_key()))
    envelope.write_text(json.dumps(sign.json("envelope", "show", BASTION, user="arne")))
    done = sealward(tmp_path, "verify", str(envelope), "--key", str(key))
    shared.ask("DELETE", f"/v1/sign/{BASTION}")

    assert done.returncode == 0, done.stderr
    assert f"server {BASTION}" in done.stdout


def test_events_are_listed_and_followed(shared: Running, sign: Command, tmp_path: Path) -> None:
    """A page has an end; --follow prints what comes, a CloudEvent a line, until it is interrupted."""
    (first,) = sign.json("event", "list", "--limit", "1", user="arne")
    path = tmp_path / "events"
    follow = ["sign", "event", "list", "--follow", "--type", "sign.created", "-f", "json"]
    words = ["env", "--default-signal=INT", OPENSTACK, *follow]  # whoever started the tests may ignore it
    with path.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - as above
            words, env=sign.environment("arne"), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: path.stat().st_size > 0, 20)
        shared.sign(BATCH)
        until(lambda: BATCH in path.read_text(), 20)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        process.wait(20)
    lines = [line for line in path.read_text().splitlines() if line.startswith("{")]

    assert (first["Position"], first["Type"]) == (1, "node.registered")
    assert json.loads(lines[-1])["data"]["server_id"] == BATCH
    assert "Traceback" not in path.read_text()


def test_questions_of_a_second_day(shared: Running, sign: Command) -> None:
    """What is false and why, who signed what since when, which orders wait: a command each."""
    shared.action("activate")
    shared.sign(BASTION)
    shared.fleet.replace(BASTION, f"/{BASTION}/disk", f"/{BASTION}/other")
    until(lambda: shared.is_valid(BASTION) == "false")
    groups = sign.json("report", "--by", "section", user="rita")
    rows = sign.json("report", "--long", "--section", "disks", user="rita")
    by_whom = ["--type", "sign.created", "--type", "sign.updated", "--actor", "user:", "--since", "1h"]
    orders = sign.json("event", "list", *by_whom, user="arne")
    before = sign.json("event", "list", "--until", "2026-01-01", user="arne")
    nonsense = sign.run("event", "list", "--since", "yesterday", user="arne")
    waiting = sign.json("task", "list", "--node", "1", user="rita")
    shared.fleet.replace(BASTION, f"/{BASTION}/other", f"/{BASTION}/disk")
    shared.ask("DELETE", f"/v1/sign/{BASTION}")

    assert [(one["Name"], one["Servers"], one["False"]) for one in groups] == [("disks", 1, 1)]
    (row,) = rows
    assert (row["Server ID"], row["Is Valid"], row["Form"]) == (BASTION, "false", "config")
    assert row["Found"].endswith("/other")
    assert orders[-1]["Type"] == "sign.created"
    assert orders[-1]["Name"] == groups[0]["Instance Names"][0]
    assert {one["Actor"].partition(":")[0] for one in orders} == {"user"}
    assert before == []
    assert "'yesterday' is not a time, as 2026-01-02T03:04:05Z" in nonsense.stderr
    assert waiting == []


@pytest.mark.parametrize(
    ("words", "user", "message"),
    [
        (["show", BATCH.replace("5", "6")], "admin", "(sign.not-found, HTTP 404, request req-"),
        (
            ["create", "nonsense"],
            "admin",
            "server_id must be a UUID. (server.bad-uuid, HTTP 400, request req-",
        ),
        (["create", WEB], "mia", "The access rule sign:create does not allow this to member, reader"),
        (["delete", BATCH.replace("5", "6"), BASTION], "olga", "2 of 2 signs were not deleted."),
        (["set", DATABASE, "--if-match", '"stale"'], "admin", "(sign.changed, HTTP 412"),
        (["node", "firmware", "accept", "1", "0" * 64], "olga", "(node.firmware-unknown, HTTP 404"),
    ],
)
def test_what_is_refused_is_said_and_fails(
    shared: Running, sign: Command, words: list[str], user: str, message: str
) -> None:
    """The API's message, its reason and the request's id; the exit status is not 0."""
    if shared.ask("GET", f"/v1/sign/{DATABASE}").status != 200:
        shared.sign(DATABASE)
    done = sign.run(*words, user=user)

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_os_cloud_names_a_cloud(sign: Command, tmp_path: Path, cloud: Cloud) -> None:
    """As every command of OpenStack; without Sealward in the catalogue the message says so."""
    known = {
        "auth": {
            "auth_url": cloud.keystone.url,
            "username": "rita",
            "password": PASSWORD,
            "user_domain_name": "Default",
            "system_scope": "all",
        },
        "identity_api_version": "3",
    }
    elsewhere = known | {"region_name": "Nowhere"}
    file = tmp_path / "clouds.yaml"
    file.write_text(json.dumps({"clouds": {"mine": known, "elsewhere": elsewhere}}))
    env = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    env |= {"OS_CLIENT_CONFIG_FILE": str(file)}
    good = sign.run("--os-cloud", "mine", "list", "-f", "json", env=env)
    bad = sign.run("--os-cloud", "elsewhere", "list", env=env)

    assert good.returncode == 0, good.stderr
    assert isinstance(json.loads(good.stdout), list)
    assert (bad.returncode, "endpoint for integrity service in Nowhere region not found" in bad.stderr) == (
        1,
        True,
    )


BALLOON = "<memballoon model='virtio'"
FILLED_IN = f"{BALLOON} freePageReporting='on'"


def test_one_command_gets_the_fleet_out_of_doubt(
    cloud: Cloud, shared: Running, sign: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade of libvirt, of one node or of all; what has changed otherwise stays false."""
    where: dict[str, Any] = {"settings": Settings(keystone=cloud.settings()), "token": cloud.token("admin")}
    fleet = (WEB, DATABASE, BATCH)
    with monkeypatch.context() as older:
        older.setattr(connection, "version_of", lambda _: "libvirt 8.0.0")
        with running(tmp_path, **where) as before:
            for server in fleet:
                before.sign(server)
    with running(tmp_path, **where) as upgraded:
        cloud.register(upgraded.url)
        try:
            for server in fleet:
                upgraded.fleet.replace(server, BALLOON, FILLED_IN)
                until(lambda server=server: upgraded.is_valid(server) == "unknown")  # type: ignore[misc]  # a default
            upgraded.fleet.replace(BATCH, f"/{BATCH}/disk", f"/{BATCH}/other")
            until(lambda: upgraded.is_valid(BATCH) == "false")
            refused = sign.run("upgrade", "accept", user="rita")
            elsewhere = sign.json("upgrade", "accept", "--node", "2", user="olga")
            ordered = sign.json("upgrade", "accept", "--node", "1", user="olga")
            until(lambda: all(upgraded.is_valid(one["Server ID"]) == "true" for one in ordered))
            again = sign.json("upgrade", "accept", user="olga")
            listed = sign.json("list", "--is-valid", "false", user="olga")
        finally:
            cloud.register(shared.url)

    assert refused.returncode != 0
    assert elsewhere == again == []
    assert {one["Server ID"] for one in ordered} == {WEB, DATABASE}
    assert all(one["Task ID"] for one in ordered)
    assert [one["Server ID"] for one in listed] == [BATCH]
