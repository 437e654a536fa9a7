"""Secrets of a real guest on the real topology: in no table, on no queue, in no log, in no file of a node."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sqlite3
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pika
import psycopg
import pytest
from nodes import PrivateNode
from running import until

from sealward.node_agent.gate import hook
from stack.guest import Guest
from stack.sealward import Stack

OLD, NEW, KEY = "hunter5-as-signed", "hunter6-as-found", "hunter7-of-the-disk"
SECRET_ID = "5a5a0000-0000-4000-8000-00000000cafe"  # noqa: S105 - an id
QEMU = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
SECRET_XML = f"<secret ephemeral='no' private='yes'><uuid>{SECRET_ID}</uuid></secret>"
LUKS = """<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{file}'>
<encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption></source>
<target dev='vdb' bus='virtio'/></disk>"""
COMMANDLINE = """<qemu:commandline>
<qemu:arg value='-object'/><qemu:arg value='secret,id=sw0,data={0}'/>
<qemu:arg value='-name'/><qemu:arg value='guest=api_key={0}'/>
<qemu:env name='DB_PASSWORD' value='{0}'/></qemu:commandline>"""
APP = "<app:config xmlns:app='urn:app'><app:token>{0}</app:token></app:config></metadata>"


def with_secrets(node: PrivateNode, guest: Guest, secret: str) -> str:
    """Return the guest's XML with a secret wherever one can stand."""
    xml = guest.xml.replace(" listen='127.0.0.1'", f" listen='127.0.0.1' passwd='{secret[:8]}'")
    xml = xml.replace("<domain type='qemu'", f"<domain type='qemu' {QEMU}")
    xml = xml.replace("</metadata>", APP.format(secret))
    xml = xml.replace("</devices>", LUKS.format(file=node.guests / "luks", secret=SECRET_ID) + "</devices>")
    return xml.replace("</domain>", COMMANDLINE.format(secret) + "</domain>")


def encrypted_disk(node: PrivateNode) -> None:
    """Make a disk that is encrypted, and tell libvirt its key."""
    node.guests.mkdir(exist_ok=True)
    line = ["qemu-img", "create", "-q", "--object", f"secret,id=s,data={KEY}"]
    line += ["-f", "luks", "-o", "key-secret=s,iter-time=10", str(node.guests / "luks"), "1M"]
    subprocess.run(line, check=True, timeout=60)  # noqa: S603 - our own arguments
    node.connection.secretDefineXML(SECRET_XML).setValue(KEY.encode())


@pytest.fixture
def stack(node: PrivateNode) -> Iterator[Stack]:
    """Yield the whole topology, whose agent is on a private node with the start gate; the broker traces."""
    folder = Path(tempfile.mkdtemp(prefix="sw-", dir="/tmp"))
    folder.chmod(0o755)
    settings = {
        "SEALWARD_LIBVIRT_URI": node.daemon.read_only_uri,
        "SEALWARD_LIBVIRT_CONFIG_DIR": str(node.daemon.config_dir),
        "SEALWARD_LIBVIRT_RUN_DIR": str(node.daemon.run_dir),
        "SEALWARD_LOG_LEVEL": "debug",
        "SEALWARD_SWEEP_INTERVAL": "2",
    }
    made = Stack(folder, settings)
    place = folder / "agent-1" / "node"
    hook.install(node.daemon.hooks_dir, place, place / "gate.sock", node.daemon.folder / "in")
    node.restart()
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def traced(stack: Stack) -> Iterator[list[bytes]]:
    """Give a list that has in the end all messages that the broker received or delivered (its firehose)."""
    stack.rabbitmq.ctl("trace_on")
    heard: list[bytes] = []
    with pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("everything", auto_delete=False)
        channel.queue_bind("everything", "amq.rabbitmq.trace", "#")
        yield heard
        while (got := channel.basic_get("everything", auto_ack=True))[0] is not None:
            heard.append(got[2])


def texts(value: Any) -> Iterator[bytes]:  # noqa: ANN401 - whatever is stored
    """Yield all texts in a value: of JSON each one, of base64 and deflated evidence what it stands for."""
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)
        return
    if isinstance(value, memoryview):
        value = bytes(value)
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes):
        return
    yield data
    with contextlib.suppress(ValueError):
        read = json.loads(data)
        if not isinstance(read, str | int | float | None):
            yield from texts(read)
    with contextlib.suppress(ValueError, zlib.error):
        decoded = base64.b64decode(data, validate=True)
        if decoded:
            yield from texts(decoded)
    with contextlib.suppress(zlib.error):
        yield zlib.decompress(data)


def tables(stack: Stack) -> Iterator[bytes]:
    """Yield everything that PostgreSQL holds."""
    with psycopg.connect(stack.postgres.url()) as connection:
        found = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert {"events", "snapshots", "signs", "tasks"} <= {name for _, name in found}
        for schema, name in found:
            for row in connection.execute(f'SELECT * FROM "{schema}"."{name}"'):  # noqa: S608 - its own
                yield from texts(row)


def files(folder: Path) -> Iterator[bytes]:
    """Yield every file below a folder, and what is in those of SQLite."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):
            yield path.read_bytes()
        if path.suffix == ".sqlite":
            with contextlib.closing(sqlite3.connect(path)) as database:
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                    yield from texts(database.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608 - as above


def said(stack: Stack, server_id: str) -> Iterator[bytes]:
    """Yield all that the API says of a server."""
    for path in ("", "/verdict", "/envelope", "/events"):
        yield from texts(stack.ask("GET", f"/v1/sign/{server_id}{path}")[1])
    yield from texts(stack.ask("GET", "/v1/events?limit=1000")[1])


def verdict(stack: Stack, server_id: str) -> dict[str, Any]:
    """Return a verdict."""
    known: dict[str, Any] = stack.ask("GET", f"/v1/sign/{server_id}/verdict")[1]["verdict"]
    return known


def test_a_real_guests_secrets_stay_in_libvirt(node: PrivateNode, stack: Stack) -> None:
    """Signed, changed, found different, validated, refused at its start, signed anew: only masks are left."""
    encrypted_disk(node)
    guest = Guest(node.guests).make()
    server = guest.server_id
    with traced(stack) as heard:
        domain = node.connection.defineXML(with_secrets(node, guest, OLD))
        domain.create()
        assert OLD[:8] in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
        until(lambda: len(stack.ask("GET", "/v1/server")[1]["servers"]) == 1, 30)
        assert stack.ask("POST", "/v1/sign", {"server_id": server})[0] == 201
        until(lambda: verdict(stack, server)["is_valid"] == "true", 30)
        stack.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"})
        node.connection.defineXML(with_secrets(node, guest, NEW))
        until(lambda: verdict(stack, server)["is_valid"] == "false", 30)
        findings = verdict(stack, server)["findings"]
        task = stack.ask("POST", f"/v1/sign/{server}/validate")[1]["task_id"]
        until(lambda: stack.ask("GET", f"/v1/task/{task}")[1]["task"]["state"] == "SUCCESS", 30)
        domain.destroy()
        with pytest.raises(libvirt.libvirtError) as refused:
            domain.create()
        until(lambda: stack.ask("GET", "/v1/events?type=start.refused")[1]["events"] != [], 30)
        answers = list(said(stack, server))
        assert stack.ask("PUT", "/v1/sign", {"server_id": server})[0] == 200
        until(lambda: verdict(stack, server)["is_valid"] == "true", 30)
        answers += said(stack, server)
    told = {
        "the API": answers,
        "PostgreSQL": list(tables(stack)),
        "the broker": [text for body in heard for text in texts(body)],
        "files and logs": list(files(stack.folder)),
        "the refusal": [str(refused.value).encode()],
    }

    assert {one["section"] for one in findings} >= {"qemu-ext", "metadata"}
    assert any(b"data=***" in text for text in told["the broker"])  # the evidence was read there
    assert any(b"data=***" in text for text in told["PostgreSQL"])
    assert any(b"data=***" in text for text in told["files and logs"])
    assert SECRET_ID.encode() in b"".join(told["PostgreSQL"])  # which key, and not the key
    for where, all_of_it in told.items():
        for secret in (OLD, NEW, KEY, OLD[:8], NEW[:8]):
            assert not [text for text in all_of_it if secret.encode() in text], f"{secret}: {where}"
