"""Secrets that stand in a domain stay in libvirt: nothing that is stored, sent or logged holds one."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import WEB, Running, running, until

from sealward.events.wire import cloudevent

OLD, NEW = "hunter2-as-signed", "hunter3-as-found"
PRODUCT = "<entry name='product'>"
DISK = """<disk type='network' device='cdrom'>
<source protocol='https' name='iso?token={0}'>
<host name='images.example' port='443'/><cookies><cookie name='session'>{0}</cookie></cookies></source>
<target dev='sda' bus='sata'/></disk>"""
PLACES = {
    "<video>": "<graphics type='spice' passwd='{0}'/>",
    "<boot dev='hd'/>": "<kernel>/boot/vmlinuz</kernel><cmdline>quiet db_password={0} panic=1</cmdline>",
    "</metadata>": "<app:config xmlns:app='urn:app'><app:token>{0}</app:token></app:config>",
    PRODUCT: "<entry name='sku'>api_key={0}</entry>",
    "<interface type='bridge'>": DISK,
}
"""What stands in the sample's XML → what is put before it, with a secret."""


def with_secrets(xml: str, secret: str) -> str:
    """Return a domain that holds a secret in every place where people put them."""
    for text, more in PLACES.items():
        assert text in xml, text
        xml = xml.replace(text, more.format(secret) + text, 1)
    return xml


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the content of every file below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def unpacked(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield every text in a JSON value; of base64 what it stands for, of evidence the XML."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from unpacked(one)
    elif isinstance(value, str):
        yield value
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:
            return
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(data).decode()
        with contextlib.suppress(ValueError):
            yield from unpacked(json.loads(data))


def answers(sealward: Running) -> Iterator[str]:
    """Yield all that the API says of a server, unpacked."""
    for path in ("", "/verdict", "/envelope", "/events"):
        yield from unpacked(sealward.ask("GET", f"/v1/sign/{WEB}{path}").json)
    yield from unpacked(sealward.ask("GET", "/v1/events?limit=1000").json)


def test_nothing_written_said_or_logged_holds_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed, changed, found different, explained, validated, signed anew: only masks are left."""
    caplog.set_level(logging.DEBUG)
    with running(tmp_path) as sealward:
        clean = sealward.fleet.xml(WEB)
        sealward.fleet.define(with_secrets(clean, OLD))
        sealward.sign()
        sealward.fleet.define(with_secrets(clean, NEW))
        until(lambda: sealward.is_valid() == "false")
        sealward.ask("POST", f"/v1/sign/{WEB}/validate")
        said = list(answers(sealward))
        findings = sealward.verdict()["findings"]
        assert sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).status == 200
        said += answers(sealward)
        store = sealward.embedded.control_plane.store
        for one in store.follow(0, 1000):
            said += unpacked(json.loads(cloudevent.render(one)))
    texts = [text.encode() for text in (*said, caplog.text)]
    files = dict(written(tmp_path))

    assert {"log.sqlite", "rows.sqlite", "ledger.sqlite"} <= set(files)
    assert {one["section"] for one in findings} >= {"boot", "disks", "identity", "metadata"}
    assert any(b"quiet db_password=*** panic=1" in text for text in texts)  # the evidence was read
    for secret in (OLD.encode(), NEW.encode()):
        assert not [text for text in texts if secret in text]
        assert not [name for name, content in files.items() if secret in content]
        assert not [name for name, content in files.items() if base64.b64encode(secret)[:16] in content]
