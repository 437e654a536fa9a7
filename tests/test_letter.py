"""A dead letter is shown decoded: payloads of signed envelopes as JSON in their places."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from reporter import Reporter

from sealward.cli.letter import readable

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SERVER = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"


def test_what_a_node_signed_is_decoded() -> None:
    """A measurement in a bundle: envelope in envelope, each payload in its place; signatures stay."""
    reporter = Reporter("kvm1", 1)
    shown = readable(reporter.bundle(reporter.measured(SERVER, 1, NOON)))
    letter = json.loads(shown)

    (report,) = letter["payload"]["reports"]
    assert report["kind"] == "measurement"
    assert report["envelope"]["payload"]["subject"]
    assert letter["signatures"][0]["sig"]


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"no json", b"[" * 100_000, b'{"payload": "%%%", "signatures": []}', b'"text"']
)
def test_what_cannot_be_decoded_is_shown_as_it_is(body: bytes) -> None:
    """For each letter that arrives: it never fails."""
    assert isinstance(readable(body), str)


def test_envelopes_in_envelopes_have_a_bound() -> None:
    """Decoding ends at a depth; nothing else grows."""
    body = b"{}"
    for _ in range(30):
        body = json.dumps({"payload": base64.b64encode(body).decode(), "signatures": []}).encode()
        if len(body) > 500_000:
            break
    assert len(readable(body)) < 20 * len(body)
