"""Lines of the log that look like others: no name, path or error can make one, or move a cursor."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest
import wire
from hypothesis import given
from hypothesis import strategies as st
from programs import TOKEN, Process

from sealward import logs

FORGERY = "\n2026-01-01 00:00:00,000 INFO sealward.access: GET /v1/sign 200, 1.0 ms, 192.0.2.1"
TRICKS = (
    FORGERY,
    "\r" + FORGERY[1:],
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "\u2028" + FORGERY[1:],
    "\u202egnp.exe",
    "\x00\x07",
)
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ \S+: |    \| ")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Return where messages for eyes go; the root logger is put back at the end."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    to = io.StringIO()
    logs.set_up("console", "info", to)
    yield to
    root.handlers[:], root.level = before


def check(text: str, messages: int) -> None:
    """Check that each message is one line that begins as lines do, and that all of it can be printed."""
    lines = text.removesuffix("\n").split("\n")
    assert all(LINE.match(line) and line.isprintable() for line in lines), lines
    assert sum(not line.startswith("    | ") for line in lines) == messages


@pytest.mark.parametrize("trick", TRICKS)
def test_whatever_a_message_an_id_or_an_exception_says(stream: io.StringIO, trick: str) -> None:
    """Hostnames, users of Keystone and what libvirt, PostgreSQL and brokers answer get into messages."""
    log = logging.getLogger("sealward.tests")
    with logs.about(actor=f"user:{trick}"):
        log.warning("node %s said %s", trick, trick)
        try:
            int(f"x{trick}")
        except ValueError as said:
            said.args = (trick,)
            log.exception("failed for %s", trick)
    check(stream.getvalue(), 2)


@given(st.text(max_size=60))
def test_any_text_is_shown_in_a_line(text: str) -> None:
    """And what can be printed is shown as it is."""
    shown = logs.shown(text)
    assert shown.isprintable()
    assert text == shown or not text.isprintable()


def test_a_request_cannot_forge_a_line(standing: Process) -> None:
    """By its path, its query, its headers or its token, in each encoding."""
    for trick in TRICKS:
        sent = "".join(f"%{one:02x}" for one in trick.encode())
        wire.ask(standing.url, f"/v1/sign/{sent}?{sent}={sent}", TOKEN)
        wire.ask(standing.url, f"/v1/task/{sent}", TOKEN, f"X-Openstack-Request-Id: req-{sent}")
        with wire.connect(standing.url) as raw:
            raw.sendall(b"GET /" + trick.encode() + b" HTTP/1.1\r\nX: " + trick.encode() + b"\r\n\r\n")
            assert wire.answer(raw).status in {400, 401}
    wire.seconds(standing.url)
    text = standing.output("err")
    assert "192.0.2.1" not in text
    assert all(LINE.match(line) and line.isprintable() for line in text.splitlines()), text
