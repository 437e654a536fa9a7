"""The commands as a user runs them: processes, signals, files."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from programs import PATIENCE, sealward, started
from running import DATABASE, WEB, until

from sealward.events.signing.keys import public_pem

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_restart_loses_nothing(tmp_path: Path, number: int) -> None:
    """Signs, verdicts and tasks are as they were; the process ended with status 0."""
    with started(tmp_path) as first:
        first.ask("POST", "/v1/sign", {"server_id": WEB})
        _, action = first.ask("POST", "/v1/sign/node/1/action", {"action": "activate"})
        task = f"/v1/task/{action['task_id']}"
        until(lambda: first.ask("GET", task)[1]["task"]["state"] == "SUCCESS")
        before = [first.ask("GET", path) for path in ("/v1/sign", task)]
        status = first.end(number)
    with started(tmp_path) as second:
        after = [second.ask("GET", path) for path in ("/v1/sign", task)]

    assert status == 0
    assert before == after


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """SIGKILL at once after the answer; the rows may be deleted, too: the log has all."""
    with started(tmp_path) as first:
        _, posted = first.ask("POST", "/v1/sign", {"server_id": WEB})
        first.ask("POST", "/v1/sign", {"server_id": DATABASE})
        first.ask("DELETE", f"/v1/sign/{DATABASE}")
        first.process.kill()
        first.process.wait(PATIENCE)
    for file in (tmp_path / "data").glob("rows.sqlite*"):
        file.unlink()
    with started(tmp_path) as second:
        _, got = second.ask("GET", f"/v1/sign/{WEB}")
        gone, _ = second.ask("GET", f"/v1/sign/{DATABASE}")
        _, again = second.ask("POST", "/v1/sign", {"server_id": DATABASE})

    assert got == posted
    assert gone == 404
    assert again["sign"]["id"] == 3  # ids are never given twice


def test_a_random_token_is_printed_when_none_is_set(tmp_path: Path) -> None:
    """And it works."""
    with started(tmp_path, SEALWARD_ADMIN_TOKEN="") as one:
        found = re.search(r"token=(\S+)", one.output())
        assert found
        assert one.ask("GET", "/v1/sign", token=found[1])[0] == 200
        assert one.ask("GET", "/v1/sign", token="other")[0] == 401


def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """Two agents with one key and two relays would be a mess; the message says what to do."""
    with started(tmp_path):
        done = sealward(tmp_path, "run", SEALWARD_LISTEN="127.0.0.1:0")

    assert done.returncode == 2
    assert "SEALWARD_DATA_DIR" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_busy_port_and_a_bad_setting_are_refused_in_one_line(tmp_path: Path) -> None:
    """The message names the variable."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        listen = f"127.0.0.1:{busy.getsockname()[1]}"
        done = [
            sealward(tmp_path, "run", SEALWARD_LISTEN=listen),
            sealward(tmp_path, "run", SEALWARD_LISTEN="nowhere"),
        ]

    for one in done:
        assert one.returncode == 2
        assert "SEALWARD_LISTEN" in one.stderr.splitlines()[-1]
        assert "Traceback" not in one.stderr


def test_tokens_come_and_go_while_it_runs(tmp_path: Path) -> None:
    """Issued, listed without the secret, refused twice, revoked at once."""
    with started(tmp_path) as one:
        issued = sealward(tmp_path, "token", "issue", "alice", "--role", "admin", "--days", "1")
        secret = issued.stdout.strip()
        works = one.ask("POST", "/v1/sign", {"server_id": WEB}, token=secret)[0]
        listed = sealward(tmp_path, "token", "list").stdout
        twice = sealward(tmp_path, "token", "issue", "alice")
        sealward(tmp_path, "token", "revoke", "alice")
        revoked = one.ask("GET", "/v1/sign", token=secret)[0]

    assert (works, revoked, twice.returncode) == (201, 401, 2)
    assert "alice\tadmin" in listed
    assert secret not in listed


def test_replay_beside_a_running_control_plane(tmp_path: Path) -> None:
    """Nothing to put right is status 0; tampered rows are named, put right, and status 1."""
    with started(tmp_path) as one:
        one.ask("POST", "/v1/sign", {"server_id": WEB})
        clean = sealward(tmp_path, "replay")
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "rows.sqlite", timeout=10)) as rows, rows:
            rows.execute("UPDATE signs SET is_valid = 'false', verdict = replace(verdict, 'true', 'false')")
        tampered = one.ask("GET", f"/v1/sign/{WEB}")[1]["sign"]["is_valid"]
        dirty = sealward(tmp_path, "replay")
        repaired = one.ask("GET", f"/v1/sign/{WEB}")[1]["sign"]["is_valid"]

    assert (clean.returncode, dirty.returncode) == (0, 1)
    assert "0 differences" in clean.stdout
    assert "signs: - " in dirty.stdout
    assert (tampered, repaired) == ("false", "true")


def test_verify_says_whose_signatures_are_good(tmp_path: Path) -> None:
    """Both keys: 0. A stranger's: 1. No envelope: 2."""
    with started(tmp_path) as one:
        one.ask("POST", "/v1/sign", {"server_id": WEB})
        _, envelope = one.ask("GET", f"/v1/sign/{WEB}/envelope")
    data = tmp_path / "data"
    (tmp_path / "envelope").write_text(json.dumps(envelope))
    stranger = public_pem(Ed25519PrivateKey.generate().public_key())
    (tmp_path / "stranger").write_text(stranger)
    keys = ["--key", str(data / "authority.pub"), "--key", str(data / "node" / "key.pub")]
    good = sealward(tmp_path, "verify", str(tmp_path / "envelope"), *keys)
    bad = sealward(tmp_path, "verify", str(tmp_path / "envelope"), "--key", str(tmp_path / "stranger"))
    none = sealward(tmp_path, "verify", str(tmp_path / "stranger"), *keys)

    assert (good.returncode, bad.returncode, none.returncode) == (0, 1, 2)
    assert WEB in good.stdout
    assert "NOT VERIFIED" in bad.stdout
    assert bad.stdout.count("the envelope names the key ") == 2
    assert "stranger: the key " in bad.stdout
    assert " has not signed it\n" in bad.stdout
    assert "Traceback" not in none.stderr


def test_measure_reads_a_domain_from_libvirt(tmp_path: Path) -> None:
    """By name; a domain that is not there is one line."""
    good = sealward(tmp_path, "measure", "--uri", "test:///default", "test")
    none = sealward(tmp_path, "measure", "--uri", "test:///default", "nobody")

    assert json.loads(good.stdout)["profile"] == "libvirt-domain/3"
    assert none.returncode == 2
    assert len(none.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["run", "demo", "replay", "token issue", "measure", "diff", "verify"])
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    """`--help` is worth reading."""
    done = sealward(tmp_path, *command.split(), "--help")

    assert done.returncode == 0
    assert "usage: sealward" in done.stdout
    assert len(done.stdout.splitlines()) > 3


def test_a_log_of_a_newer_sealward_is_refused(tmp_path: Path) -> None:
    """An event of a newer Sealward stops it with a line that says so."""
    with started(tmp_path) as one:
        one.ask("POST", "/v1/sign", {"server_id": WEB})
        one.end()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "log.sqlite")) as log, log:
        older, newer = 'version":1', 'version":9'
        log.execute("UPDATE stored_events SET state = replace(state, ?, ?) WHERE rowid = 1", (older, newer))
    for file in (tmp_path / "data").glob("rows.sqlite*"):
        file.unlink()
    began = time.monotonic()
    done = sealward(tmp_path, "run", SEALWARD_LISTEN="127.0.0.1:0")

    assert done.returncode == 2
    assert "version 9, known up to 1" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < PATIENCE
