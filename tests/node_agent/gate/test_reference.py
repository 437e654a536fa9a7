"""The gate's own reader of references: it reads what the others read, and believes no more than they do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, SERVER
from hypothesis import given
from hypothesis import strategies as st

import sealward
from sealward.events.comparison.measurement import Measurement
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.signing.statement import Statement
from sealward.node_agent.gate.decision.dossier import Dossier, Sealed
from sealward.node_agent.gate.decision.reference import Reference, Unverified, verified

AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
NODE = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
TEXTS = st.text(st.characters(codec="utf-8"))
DIGESTS = st.dictionaries(TEXTS, TEXTS, max_size=4)
SIGNED = Statement(SERVER, 7, 1, 2, NOON, Measurement("libvirt-domain/3", {"boot": "aa"}, {}, ""), b"why")


def sealed(statement: Statement, *keys: Ed25519PrivateKey) -> str:
    """Return a statement as a ledger has it."""
    envelope = statement.envelope()
    for key in keys:
        envelope = envelopes.sign(envelope, key)
    return json.dumps(envelope.to_json())


def read(envelope: str, server_id: str = SERVER, place: tuple[int, int] = (7, 2)) -> Reference:
    """Return what the gate makes of it."""
    entry = Sealed(*place, envelope)
    return verified(server_id, Dossier(entry=entry, signers=(AUTHORITY.public_key().public_bytes_raw(),)))


@given(st.builds(Measurement, TEXTS, DIGESTS, DIGESTS, TEXTS, DIGESTS), st.binary(max_size=50))
def test_what_it_reads_is_what_was_stated(measurement: Measurement, evidence: bytes) -> None:
    """As the reader for hostile text has it."""
    made = Statement(SERVER, 7, 1, 2, NOON, measurement, evidence)
    text = sealed(made, NODE, AUTHORITY)
    envelope = envelopes.parse(text)
    known = statements.parse(envelope.payload, envelope.payload_type)

    assert read(text) == (known.measurement, known.evidence) == (measurement, evidence)


@pytest.mark.parametrize(
    ("server_id", "place"), [("another", (7, 2)), (SERVER, (8, 2)), (SERVER, (7, 1)), (SERVER, (7, 3))]
)
def test_what_is_another_servers_or_another_generation_is_refused(
    server_id: str, place: tuple[int, int]
) -> None:
    """Also with valid signatures: an envelope that was put in the place of another envelope verifies."""
    with pytest.raises(Unverified):
        read(sealed(SIGNED, NODE, AUTHORITY), server_id, place)


@pytest.mark.parametrize("keys", [(), (NODE,), (NODE, STRANGER)])
def test_what_the_authority_did_not_sign_is_refused(keys: tuple[Ed25519PrivateKey, ...]) -> None:
    """One signature among others is enough; none is not."""
    with pytest.raises(Unverified):
        read(sealed(SIGNED, *keys))


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"1", b"{}", b'{"predicate": 1}', b'{"predicate": {}}', b"\xff", b"[" * 100_000]
    + [
        SIGNED.envelope().payload.replace(one, b"other")
        for one in (b"https://in-toto.io/Statement/v1", b"urn:sealward:measurement:v1", b'"sections"')
    ],
)
def test_what_is_signed_and_no_statement_is_refused(payload: bytes) -> None:
    """The authority's key signs other things, too."""
    envelope = envelopes.sign(envelopes.Envelope(payload, statements.PAYLOAD_TYPE), AUTHORITY)
    with pytest.raises(Unverified):
        read(json.dumps(envelope.to_json()))


@given(st.text() | st.from_type(dict).map(repr))
def test_what_is_no_envelope_is_refused(text: str) -> None:
    """An attacker who can write to the ledger chooses the text."""
    with pytest.raises(Unverified):
        read(text)


@pytest.mark.parametrize(
    ("modules", "more"), [("offline, decision", {"pathlib"}), ("offline, decision, with_files", set())]
)
def test_a_decision_alone_loads_nothing_that_it_can_do_without(modules: str, more: set[str]) -> None:
    """A start waits for it: these are milliseconds each."""
    heavy = {"msgspec", "uuid", "logging", "concurrent", "typing_extensions", "kombu"} | more
    package = Path(sealward.__path__[0]).parent
    code = (
        f"import sys; sys.path += {[str(package), *sys.path]!r}\n"
        f"from sealward.node_agent.gate.decision import {modules}\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"
