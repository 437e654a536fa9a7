"""DSSE: our envelopes are everybody's envelopes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as StockEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, SSlibKey  # type: ignore[attr-defined]  # re-exported unmarked

from sealward.events.signing.envelope import Envelope, EnvelopeRefused, NotVerified, pae, parse, sign, verify
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import KeyRefused, private_key, public_key, public_pem

NODE = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
TYPE = "application/vnd.in-toto+json"


def test_pae_is_the_vector_of_the_specification() -> None:
    """`hello world` encodes as DSSE's protocol.md prints it."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"

    assert expected == pae("http://example.com/HelloWorld", b"hello world")


@given(st.binary(max_size=200), st.text(max_size=50))
def test_an_envelope_survives_its_json(payload: bytes, kind: str) -> None:
    """parse(to_json(x)) is x, and the signature still holds."""
    signed = sign(Envelope(payload, kind), NODE)
    read = parse(json.dumps(signed.to_json()))

    assert signed == read
    assert payload == verify(read, [NODE.public_key()])


def test_securesystemslib_verifies_our_envelope_unaided() -> None:
    """The stock package finds both signatures, and misses one that is not there."""
    signed = sign(sign(Envelope(b'{"_type":"x"}', TYPE), NODE), AUTHORITY)
    keys: list[Key] = [
        SSlibKey(keyid(key), "ed25519", "ed25519", {"public": key.public_bytes_raw().hex()})
        for key in (NODE.public_key(), AUTHORITY.public_key())
    ]
    stock = StockEnvelope.from_dict(signed.to_json())
    lone = StockEnvelope.from_dict(sign(Envelope(b"{}", TYPE), NODE).to_json())

    assert len(stock.verify(keys, threshold=2)) == 2
    with pytest.raises(VerificationError):
        lone.verify(keys, threshold=2)


def test_every_given_key_must_have_signed() -> None:
    """A node's signature alone does not do where the authority must have signed too."""
    signed = sign(Envelope(b"{}", TYPE), NODE)

    with pytest.raises(NotVerified, match=keyid(AUTHORITY.public_key())):
        verify(signed, [NODE.public_key(), AUTHORITY.public_key()])
    with pytest.raises(NotVerified):
        verify(signed, [])


def test_a_changed_payload_or_type_is_not_verified() -> None:
    """The signature covers payload and type."""
    signed = sign(Envelope(b"{}", TYPE), NODE)

    for changed in (replace(signed, payload=b"{ }"), replace(signed, payload_type="text/plain")):
        with pytest.raises(NotVerified):
            verify(changed, [NODE.public_key()])


def test_a_false_keyid_helps_and_harms_nobody() -> None:
    """The keyid is a hint: a signature counts by its key alone."""
    signed = sign(Envelope(b"{}", TYPE), NODE)
    renamed = replace(signed, signatures=(replace(signed.signatures[0], keyid="someone"),))

    assert verify(renamed, [NODE.public_key()]) == b"{}"


def test_signing_twice_with_one_key_changes_nothing() -> None:
    """Redelivery of a seal gives the same envelope."""
    signed = sign(Envelope(b"{}", TYPE), NODE)

    assert signed == sign(signed, NODE)


def test_url_safe_base64_is_taken() -> None:
    """A verifier must accept both alphabets (envelope.md)."""
    fields = sign(Envelope(b"\xff\xfe\xfd", TYPE), NODE).to_json()
    fields["payload"] = "__79"

    assert parse(fields).payload == b"\xff\xfe\xfd"


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "7", "{}", "[" * 100_000, b"\xff",
        '{"payload":"e30=","payloadType":"t","signatures":{}}',
        '{"payload":"e30=","payloadType":7,"signatures":[]}',
        '{"payload":"%%%","payloadType":"t","signatures":[]}',
        '{"payload":"é","payloadType":"t","signatures":[]}',
        '{"payload":"e30=","payloadType":"t","signatures":[7]}',
        json.dumps({"payload": "", "payloadType": "t", "signatures": [{"sig": ""}] * 17}),
    ],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(text: str | bytes) -> None:
    """Garbage is refused with the one error of this module."""
    with pytest.raises(EnvelopeRefused):
        parse(text)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """The first start makes the key, mode 0600; the next finds it."""
    path = tmp_path / "keys" / "node.pem"
    made = private_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert made.private_bytes_raw() == private_key(path).private_bytes_raw()
    assert [path] == list(path.parent.iterdir())


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    """A damaged key is an error, never silently replaced."""
    path = tmp_path / "node.pem"
    path.write_text("not a key")

    with pytest.raises(KeyRefused):
        private_key(path)
    with pytest.raises(KeyRefused):
        public_key("not a key")
    assert path.read_text() == "not a key"


def test_a_public_key_survives_its_pem() -> None:
    """What a node registers is what its envelopes are verified with."""
    key = NODE.public_key()

    assert keyid(key) == keyid(public_key(public_pem(key)))
