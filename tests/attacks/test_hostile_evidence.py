"""The evidence of a seal is a document that its node has written: with any evidence, the sign can be read."""

from __future__ import annotations

import encodings
import pkgutil
import zlib
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from door import NOW, SERVERS, Door
from reporter import Reporter

from sealward.events.comparison.evidence import UNLISTED, with_files
from sealward.events.comparison.files import ALL
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN, Measurement
from sealward.events.is_valid import IsValid
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.store import store as stores
from sealward.protocol import codec, reports

FILES = Measurement(LIBVIRT_DOMAIN, {"files": "ab" * 32}, {}, "libvirt 9.0.0")
SERVER = SERVERS[0]
UNHEARD_OF = b'<?xml version="1.0" encoding="unheard-of"?><evidence/>'


@pytest.mark.parametrize("encoding", sorted(one.name for one in pkgutil.iter_modules(encodings.__path__)))
def test_every_encoding_that_python_has(encoding: str) -> None:
    """Expat asks Python for those that it does not know itself."""
    with_files(FILES, zlib.compress(f'<?xml version="1.0" encoding="{encoding}"?><evidence/>'.encode()))


@pytest.mark.parametrize("text", [UNHEARD_OF, b"", b"<evidence>", b"<!DOCTYPE a><a/>", b"<a>\xff</a>"])
def test_what_is_no_evidence_lists_no_file(text: bytes) -> None:
    """Nothing is known of any file, and nothing is raised."""
    listing = with_files(FILES, zlib.compress(text)).files["config"]

    assert (listing.read, listing.unread) == ({}, {ALL: UNLISTED})


def test_a_sign_with_such_evidence_can_be_read() -> None:
    """Its seal is in the log: the node goes on being heard, and the sign can be ordered anew."""
    door = Door(stores.in_memory())
    node = Reporter("kvm1", 1)
    door.take(node.registration(), node.inventory(SERVER))
    door.handler.handle(node.order(SERVER))
    assert door.take(_sealed(node)) == [None]
    door.now += timedelta(seconds=1)

    assert door.take(node.measured(SERVER, 1, door.now, disk="other")) == [None]
    assert door.verdict(SERVER).is_valid is IsValid.FALSE


def _sealed(node: Reporter) -> bytes:
    """Return a seal whose evidence is in an encoding that nobody knows."""
    report = codec.parse(envelopes.parse(node.measured(SERVER, 1, NOW, cause="sealed")))
    assert isinstance(report, reports.Measurement)
    envelope = envelopes.parse(report.envelope)
    statement = statements.parse(envelope.payload, envelope.payload_type)
    sections = {**statement.measurement.sections, "files": "ab" * 32}
    statement = msgspec.structs.replace(
        statement,
        measurement=replace(statement.measurement, sections=sections),
        evidence=zlib.compress(UNHEARD_OF),
    )
    return node.seal(
        reports.Measurement(
            hostname=node.hostname,
            server_id=SERVER,
            envelope=envelopes.sign(statement.envelope(), node.key).to_json(),
            cause="sealed",
            task_id=report.task_id,
        )
    )
