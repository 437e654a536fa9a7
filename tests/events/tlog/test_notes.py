"""Signed notes, checkpoints, cosignatures, proofs and policies: published vectors, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from reference_tree import ENTRIES, LEAVES

from sealward.events.tlog.checkpoint import Checkpoint, read_checkpoint
from sealward.events.tlog.merkle import inclusion_proof, leaf_hash, over, root_of
from sealward.events.tlog.note import (
    COSIGNATURE,
    ED25519,
    SignedNote,
    VerifierKey,
    cosigner,
    read_note,
    read_vkey,
    signer,
)
from sealward.events.tlog.policy import read_policy
from sealward.events.tlog.proof import InclusionProof, read_proof
from sealward.events.tlog.record import Record, read_record, record_of
from sealward.events.tlog.refusals import (
    CheckpointRefused,
    NoteRefused,
    PolicyRefused,
    ProofRefused,
    RecordRefused,
)

LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
ORIGIN, NODE = "sealward.example/log", "sealward.example/node/kvm1"
LOG_KEY = VerifierKey(ORIGIN, ED25519, LOG.public_key())
WITNESS_KEY = VerifierKey(NODE, COSIGNATURE, WITNESS.public_key())
POLICY = f"log {LOG_KEY}\nwitness kvm1 {WITNESS_KEY}\nquorum kvm1\n"
WRITTEN = """sealward.example/log
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— sealward.example/log tsCvgfjmT1OPMc2z+yAsWKAkHVsX5FM+i+7rb+rTmTyVJPIUHRALfuyYC/DGA7dsp4WeLdMe6\
drAjkgIqSrKlKOjowg=
— sealward.example/node/kvm1 lmyrGwAAAABlU/EAnKUl7rX+d5NXn44U88yi9aj5vGA0eRlDt6a8XgHg3YIbrmVBFZ7L\
3I55rUGs4gDSD7HyZmqxBB8DzuahclyABw==
"""
"""A checkpoint over the eight entries, cosigned at 1700000000; Go's note package verifies it."""


def checkpoint() -> SignedNote:
    """Return the checkpoint over the eight entries, signed and cosigned."""
    text = Checkpoint(ORIGIN, 8, root_of(LEAVES)).text()
    return SignedNote(text, (signer(ORIGIN, LOG)(text), cosigner(NODE, WITNESS, 1_700_000_000)(text)))


def proof(index: int = 5) -> InclusionProof:
    """Return the proof that an entry is in that log."""
    return InclusionProof(index, inclusion_proof(index, 8, over(LEAVES)), checkpoint())


def test_a_checkpoint_is_written_as_other_tools_verified_it() -> None:
    """Signing with Ed25519 gives the same bytes each time."""
    assert str(checkpoint()) == WRITTEN
    assert str(LOG_KEY) == "sealward.example/log+b6c0af81+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert (
        str(WITNESS_KEY) == "sealward.example/node/kvm1+966cab1b+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    )


def test_a_note_is_read_as_it_was_written() -> None:
    """Text and signatures; the checkpoint in it; the time at which the witness cosigned."""
    note = read_note(WRITTEN)
    assert note == checkpoint()
    assert read_checkpoint(note) == Checkpoint(ORIGIN, 8, root_of(LEAVES))
    assert [one.time for one in note.verified([LOG_KEY, WITNESS_KEY])] == [None, 1_700_000_000]


def test_the_example_of_the_specification_verifies() -> None:
    """c2sp.org/signed-note, section Example."""
    key = read_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = read_note(
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7"
        "Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    assert [one.name for one in note.verified([key])] == ["example.com/foo"]


def test_a_text_may_have_empty_lines() -> None:
    """The last empty line ends the text."""
    text = "one\n\ntwo\n"
    note = SignedNote(text, (signer(ORIGIN, LOG)(text),))
    assert read_note(str(note)).text == text


def test_signatures_of_unknown_keys_do_not_count() -> None:
    """Neither for nor against: the name, the id or both are another key's."""
    note = checkpoint()
    other = VerifierKey(ORIGIN, ED25519, WITNESS.public_key())
    with pytest.raises(NoteRefused):
        note.verified([other])
    assert len(note.verified([other, LOG_KEY])) == 1


def test_a_known_key_whose_signature_is_bad_spoils_the_note() -> None:
    """Although another known key has signed it well."""
    note = checkpoint()
    bad = replace(note.signatures[1], signature=bytes(72))
    with pytest.raises(NoteRefused):
        replace(note, signatures=(note.signatures[0], bad)).verified([LOG_KEY, WITNESS_KEY])


@given(st.integers(0, len(WRITTEN.encode()) - 1), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(at: int, bit: int) -> None:
    """In text or signatures: the policy does not accept what comes out."""
    raw = bytearray(WRITTEN.encode())
    raw[at] ^= 1 << bit
    with pytest.raises((NoteRefused, CheckpointRefused, PolicyRefused, UnicodeDecodeError)):
        read_policy(POLICY).accept(read_note(raw.decode()))


@pytest.mark.parametrize(
    "written",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        WRITTEN.removesuffix("\n"),
        WRITTEN.replace("— ", "- "),
        WRITTEN.replace("— sealward", "—  sealward"),
        WRITTEN + "more\n",
        WRITTEN.replace("log tsC", "log t sC"),
        WRITTEN.replace("\n\n", "\n \n"),
        WRITTEN.replace("8\n", "8\r\n"),
        WRITTEN.replace("8\n", "8\0\n"),
        WRITTEN.replace("8\n", "8\ud800\n"),
        WRITTEN.replace("— sealward.example/log ", "— sealward+log "),
        "text\n\n" + "— a AAAAAAA=\n" * 101,
        "x" * 1_000_001 + "\n\n— a AAAAAAA=\n",
    ],
)
def test_what_is_no_note_is_refused(written: str) -> None:
    """With its reason; nothing is guessed."""
    with pytest.raises(NoteRefused):
        read_note(written)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n8\n",
        f"{ORIGIN}\n08\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        f"{ORIGIN}\n-8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        f"{ORIGIN}\n٨\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        f"{ORIGIN}\n99999999999999999999\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
        f"{ORIGIN}\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQw==\n",
        f"{ORIGIN}\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyh=\n",
        f"{ORIGIN}\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\nmore\n",
        "\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    """Each checkpoint has one form: sizes without zeros before, base64 in its one way, three lines."""
    with pytest.raises(CheckpointRefused):
        read_checkpoint(SignedNote(text, (signer(ORIGIN, LOG)(text),)))


@pytest.mark.parametrize(
    "written",
    [
        "",
        "name",
        "name+00000000+AQ==",
        str(LOG_KEY).replace("b6c0af81", "b6c0af82"),
        str(LOG_KEY).replace("b6c0af81", "B6C0AF81"),
        str(LOG_KEY).replace("/", " "),
        str(LOG_KEY)[:-4],
        "x+" + str(LOG_KEY),
        str(LOG_KEY).replace("+AQ", "+BQ"),
    ],
)
def test_what_is_no_vkey_is_refused(written: str) -> None:
    """Also a type of signature that is not known here."""
    with pytest.raises(NoteRefused):
        read_vkey(written)


def test_a_proof_is_written_as_other_tools_verified_it() -> None:
    """transparency-dev/formats parsed and verified the text with this digest."""
    written = str(proof())
    assert hashlib.sha256(written.encode()).hexdigest() == (
        "81e4cad4c13bca6c1625777929e40d4e6dde78357448a0352edebf835768a6fe"
    )
    assert read_proof(written) == proof()


def test_a_proof_shows_that_an_entry_is_in_the_log() -> None:
    """Of each entry; of no other entry."""
    policy = read_policy(POLICY)
    for index, entry in enumerate(ENTRIES):
        assert proof(index).verify(entry, policy).size == 8
        with pytest.raises(ProofRefused):
            proof(index).verify(entry + b"x", policy)


def test_a_line_of_extra_data_is_read_over() -> None:
    """Nothing authenticates it."""
    written = str(proof()).replace("index 5", "extra AAAA\nindex 5")
    assert read_proof(written) == proof()


@pytest.mark.parametrize(
    "change",
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 5", "index 05"),
        ("index 5", "index -5"),
        ("index 5", "index 5 "),
        ("index 5\n", ""),
        ("\n\n", "\n"),
        ("vBoGQ7EuTS", "vBoGQ7Eu"),
    ],
)
def test_what_is_no_proof_is_refused(change: tuple[str, str]) -> None:
    """With its reason."""
    written = str(proof())
    assert change[0] in written
    with pytest.raises((ProofRefused, NoteRefused)):
        read_proof(written.replace(*change, 1))


@given(st.text(max_size=300), st.integers(0, 400), st.integers(0, 40))
def test_any_text_is_a_note_a_proof_and_a_policy_or_refused(piece: str, at: int, cut: int) -> None:
    """Text that somebody wrote into a good file, over some of what was there."""
    for written, read in ((WRITTEN, read_note), (str(proof()), read_proof), (POLICY, read_policy)):
        changed = written[:at] + piece + written[at + cut :]
        try:
            read(changed)
        except (NoteRefused, ProofRefused, PolicyRefused):
            continue


def witness(number: int) -> VerifierKey:
    """Return the key of one of many witnesses."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return VerifierKey(f"w{number}", COSIGNATURE, key.public_key())


def cosigned_by(*numbers: int) -> SignedNote:
    """Return the checkpoint as some of the witnesses cosigned it."""
    note = checkpoint()
    more = tuple(
        cosigner(f"w{one}", Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32), 1)(note.text)
        for one in numbers
    )
    return replace(note, signatures=(note.signatures[0], *more))


TWO_LEVELS = "\n".join(
    [
        "# two of the first three, and any of the others",
        f"\tlog {LOG_KEY}  https://example.com/",
        *(f"witness X{one} {witness(one)}" for one in (1, 2, 3)),
        "group X 2 X1 X2 X3",
        "",
        *(f"witness Y{one} {witness(one)} https://example.com/{one}" for one in (4, 5)),
        "group Y any Y4 Y5",
        "group both all X Y",
        "quorum both",
    ]
)


@pytest.mark.parametrize("enough", [(1, 2, 4), (1, 3, 5), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_a_quorum_is_there_when_each_group_has_enough(enough: tuple[int, ...]) -> None:
    """The example of the specification."""
    assert len(read_policy(TWO_LEVELS).accept(cosigned_by(*enough))) == len(enough)


@pytest.mark.parametrize("too_few", [(), (1, 2, 3), (4, 5), (1, 4), (3, 5, 4)])
def test_a_quorum_is_not_there_when_a_group_lacks_witnesses(too_few: tuple[int, ...]) -> None:
    """A witness counts once, however often it has signed."""
    with pytest.raises(PolicyRefused):
        read_policy(TWO_LEVELS).accept(cosigned_by(*too_few))
    with pytest.raises(PolicyRefused):
        read_policy(TWO_LEVELS).accept(cosigned_by(*too_few, *too_few))


def test_a_log_that_the_policy_does_not_name_is_not_trusted() -> None:
    """Its origin or its key is another's."""
    other = VerifierKey("example.com/other", ED25519, LOG.public_key())
    forged = VerifierKey(ORIGIN, ED25519, WITNESS.public_key())
    for key in (other, forged):
        with pytest.raises(NoteRefused):
            read_policy(f"log {key}\nquorum none\n").accept(checkpoint())


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("", "quorum none"),
        ("quorum none\nquorum none", "line 2"),
        ("quorum kvm1", "line 1"),
        (f"log {WITNESS_KEY}\nquorum none", "line 1"),
        (f"witness a {LOG_KEY}\nquorum none", "line 1"),
        (f"log {LOG_KEY}\nlog {LOG_KEY}\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\nwitness b {WITNESS_KEY}\nquorum none", "line 2"),
        (f"witness none {WITNESS_KEY}\nquorum none", "line 1"),
        (f"witness a {WITNESS_KEY}\ngroup a any a\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\ngroup g any b\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\ngroup g 2 a\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\ngroup g 0 a\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\ngroup g any a a\nquorum none", "line 2"),
        (f"witness a {WITNESS_KEY}\ngroup g any a\ngroup h any a\nquorum none", "line 3"),
        (f"witness a {WITNESS_KEY}\ngroup g any\nquorum none", "line 2"),
        ("quorum none extra words", "line 1"),
        ("trust everybody", "line 1"),
        ("quorum none\r\n", "a policy"),
        ("quorum none\0", "a policy"),
    ],
)
def test_what_is_no_policy_is_refused_and_its_line_named(written: str, line: str) -> None:
    """So that the author of a policy finds the place."""
    with pytest.raises(PolicyRefused, match=line):
        read_policy(written)


RECORD = Record(
    7,
    UUID("5c3b3f2e-0d0e-5a57-9a0c-0d9f6f6a1c11"),
    2,
    "sign.sealed",
    hashlib.sha256(b'{"actor":"node:kvm1","version":1}').hexdigest(),
)


def test_a_record_has_one_form() -> None:
    """135 bytes here, with this leaf hash."""
    made = record_of(7, RECORD.stream, 2, "sign.sealed", b'{"actor":"node:kvm1","version":1}')
    assert made == RECORD == read_record(made.entry())
    assert len(made.entry()) == 135
    assert leaf_hash(made.entry()).hex() == "89c07cbb5fe0b71d7dfe4b6384e247fd3a32db0013fdedf35152d52bb864861f"


@pytest.mark.parametrize(
    "change",
    [
        (b"sealward-event/1", b"sealward-event/2"),
        (b"\n7\n", b"\n07\n"),
        (b"\n7\n", b"\n0\n"),
        (b"5c3b", b"5C3B"),
        (b"\n2\n", b"\n2 \n"),
        (b"sign.sealed", b"sign sealed"),
        (b"sign.sealed", "sign.\u017fealed".encode()),
        (b"8827", b"882"),
        (b"sealed\n", b"sealed\n\n"),
    ],
)
def test_what_is_no_record_is_refused(change: tuple[bytes, bytes]) -> None:
    """A record that is taken is the one record of its event."""
    changed = RECORD.entry().replace(*change)
    assert changed != RECORD.entry()
    with pytest.raises(RecordRefused):
        read_record(changed)
