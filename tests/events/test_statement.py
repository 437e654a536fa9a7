"""in-toto statements: what is read is what was signed."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from factories import SERVER

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import Measurement
from sealward.events.signing import statement as statements
from sealward.events.signing.statement import PAYLOAD_TYPE, Statement, StatementRefused, parse

STATEMENT = Statement(
    SERVER,
    115,
    2,
    1,
    datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=UTC),
    Measurement("libvirt-domain/1", {"boot": "aa"}, {"disks": "bb"}, "libvirt 9.0.0"),
    b"evidence",
)


def _parsed(statement: Statement) -> Statement:
    """Return what is read of a statement that was written."""
    envelope = statement.envelope()
    return parse(envelope.payload, envelope.payload_type)


def _changed(**fields: object) -> bytes:
    return json.dumps(json.loads(STATEMENT.envelope().payload) | fields).encode()


def test_a_statement_survives_its_payload() -> None:
    """What is read of the envelope of a statement is that statement."""
    assert _parsed(STATEMENT) == STATEMENT


def test_files_that_are_listed_survive_and_change_no_digest() -> None:
    """What was read and what was not, in both forms; a statement without a list has no word of it."""
    listing = Listing(
        {"kernel/1": "aa", "kernel/1:content": "sealward-tree/1:00"}, {"cdrom/sda": "file-missing"}
    )
    listed = replace(
        STATEMENT.measurement, files={"config": listing, "live": Listing({}, {"": "file-missing"})}
    )
    statement = msgspec.structs.replace(STATEMENT, measurement=listed)

    assert _parsed(statement) == statement
    assert listed.digest == STATEMENT.measurement.digest
    assert b'"files"' not in STATEMENT.envelope().payload


def test_the_task_that_was_measured_for_is_stated() -> None:
    """It is what the node signs; a statement that nobody asked for has no word of it."""
    asked = msgspec.structs.replace(STATEMENT, task_id="8f0e7a9c")

    assert _parsed(asked) == asked
    assert json.loads(asked.envelope().payload)["predicate"]["taskId"] == "8f0e7a9c"
    assert b"taskId" not in STATEMENT.envelope().payload


def test_the_subject_is_the_manifest_by_digest() -> None:
    """A third party finds subject, digest and types where in-toto puts them."""
    fields = json.loads(STATEMENT.envelope().payload)

    assert fields["_type"] == "https://in-toto.io/Statement/v1"
    assert fields["subject"][0]["digest"] == {"sha256": STATEMENT.measurement.digest}


@pytest.mark.parametrize(
    "payload",
    [b"", b"7", b"null", b"{}", b"\xff", b"[" * 100_000, _changed(predicate={}), _changed(subject=[]),
     _changed(predicateType="urn:other"), _changed(subject=[{"digest": {"sha256": "00"}}])],
)  # fmt: skip
def test_what_is_no_statement_is_refused(payload: bytes) -> None:
    """Garbage, other predicates and a subject that is not the sections' are refused."""
    with pytest.raises(StatementRefused):
        parse(payload, PAYLOAD_TYPE)


def test_a_payload_of_another_type_is_refused() -> None:
    """Who reads a statement must say of which type it was signed."""
    with pytest.raises(StatementRefused):
        parse(STATEMENT.envelope().payload, "text/plain")
    with pytest.raises(TypeError):
        parse(STATEMENT.envelope().payload)  # type: ignore[call-arg]  # that is the point


def test_a_time_without_zone_is_refused() -> None:
    """A moment that could be any of 24 is none."""
    naive = msgspec.structs.replace(STATEMENT, measured_at=datetime(2026, 1, 2))  # noqa: DTZ001 - that is the point

    with pytest.raises(StatementRefused):
        _parsed(naive)


def test_a_seal_is_read_once_while_its_statement_is_there_and_again_when_it_is_gone() -> None:
    """The statement of a seal is the same, whether it was held or is read from the envelope."""
    held = msgspec.structs.replace(STATEMENT, task_id="8f0e7a9d")
    fields = statements.sealed(held, held.envelope())

    assert statements.of_seal(fields) is held
    was = msgspec.structs.replace(held)
    del held
    gc.collect()
    assert statements.of_seal(fields) == was


def test_a_seal_of_another_type_is_refused_although_its_payload_is_held() -> None:
    """What is held is found by payload and type."""
    held = msgspec.structs.replace(STATEMENT, task_id="8f0e7a9e")
    fields = statements.sealed(held, held.envelope())

    with pytest.raises(StatementRefused):
        statements.of_seal({**fields, "payloadType": "text/plain"})
