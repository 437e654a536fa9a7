"""Which keys of the authority a node believes while the authority changes its key."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, SERVER

from sealward.events.comparison.measurement import Measurement
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keys import KeyRefused, public_key, public_keys, public_pem
from sealward.events.signing.statement import Statement
from sealward.node_agent.gate.decision.dossier import Dossier, Sealed
from sealward.node_agent.gate.decision.reference import Unverified, verified
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.references import References, entries
from sealward.node_agent.messages.trust import PINNED, PinnedTrust, believed_before
from sealward.protocol import telling
from sealward.protocol.desired import Assignment, Desired

OLD, NEW, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
OLD_PEM, NEW_PEM, STRANGER_PEM = (public_pem(one.public_key()) for one in (OLD, NEW, STRANGER))
MEASUREMENT = Measurement("libvirt-domain/3", {"boot": "aa"}, {}, "libvirt 9.0.0")


def desired(authority: str, beside: tuple[str, ...] = (), earlier: tuple[str, ...] = ()) -> Desired:
    """Return an answer that names keys."""
    return Desired(1, 5, None, authority, (), (), beside=beside, earlier=earlier)


def believes(trust: PinnedTrust, key: Ed25519PrivateKey) -> bool:
    """Say whether what a key signs is believed."""
    body = telling.seal(telling.Told("kvm1", telling.Anew(1)), key)
    return trust.unsealed(body, "kvm1") is not None


def test_the_next_key_counts_once_the_present_one_has_told_of_it(tmp_path: Path) -> None:
    """Both count until the one before is retired; each step outlives a restart."""
    trust = PinnedTrust(tmp_path, lambda: OLD_PEM)
    assert (believes(trust, OLD), believes(trust, NEW)) == (True, False)
    trust.take(desired(OLD_PEM, (NEW_PEM,)))
    for one in (trust, PinnedTrust(tmp_path)):
        assert (believes(one, OLD), believes(one, NEW)) == (True, True)
    trust.take(desired(NEW_PEM, (OLD_PEM,), (OLD_PEM,)))
    assert (believes(trust, OLD), believes(trust, NEW)) == (True, True)
    trust.take(desired(NEW_PEM, earlier=(OLD_PEM,)))
    for one in (trust, PinnedTrust(tmp_path)):
        assert (believes(one, OLD), believes(one, NEW), believes(one, STRANGER)) == (False, True, False)


@pytest.mark.parametrize(
    "said", [desired("garbage"), desired(OLD_PEM, ("garbage",)), desired(OLD_PEM, (), (OLD_PEM[:-30],))]
)
def test_what_is_no_key_changes_nothing(tmp_path: Path, said: Desired) -> None:
    """Not even the part of it that is one."""
    trust = PinnedTrust(tmp_path, lambda: OLD_PEM)
    with pytest.raises(KeyRefused):
        trust.take(said)

    assert trust.pems == (OLD_PEM,)
    assert (tmp_path / PINNED).read_text() == OLD_PEM


def test_references_of_the_earlier_key_stay_good(tmp_path: Path) -> None:
    """At the agent and at its start gate, for as long as the key is named; a stranger's never are."""
    trust = PinnedTrust(tmp_path, lambda: NEW_PEM)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for signers, good in (
        (trust.take(desired(NEW_PEM, earlier=(OLD_PEM,))), (OLD, NEW)),
        (trust.take(desired(NEW_PEM)), (NEW,)),
    ):
        raw = tuple(one.public_bytes_raw() for one in signers)
        for key in (OLD, NEW, STRANGER):
            references = References(ledger, signers)
            references.replace_all(entries([assignment(key)]))
            assert (SERVER in references) == (key in good)
            assert is_good_at_the_gate(key, raw) == (key in good)
    ledger.close()


def assignment(key: Ed25519PrivateKey) -> Assignment:
    """Return a sign whose reference a key has countersigned."""
    statement = Statement(SERVER, 7, 1, 1, NOON, MEASUREMENT, b"")
    text = msgspec.json.encode(envelopes.sign(statement.envelope(), key).to_json()).decode()
    return Assignment(7, SERVER, 1, 1, "true", (), text)


def is_good_at_the_gate(key: Ed25519PrivateKey, signers: tuple[bytes, ...]) -> bool:
    """Say whether the start gate takes a reference."""
    sealed = Sealed(7, 1, assignment(key).envelope or "")
    try:
        verified(SERVER, Dossier(entry=sealed, signers=signers))
    except Unverified:
        return False
    return True


def test_nothing_is_good_while_no_key_is_known(tmp_path: Path) -> None:
    """Neither a message nor a reference."""
    assert not believes(PinnedTrust(tmp_path, at_first_sight=True), OLD)
    assert not is_good_at_the_gate(OLD, ())


def test_an_agent_from_before_pins_the_key_that_it_believed(tmp_path: Path) -> None:
    """Its ledger has it: an upgrade needs no invitation."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert believed_before(ledger) is None
    ledger.keep_fact("signers", public_key(OLD_PEM).public_bytes_raw().hex())
    trust = PinnedTrust(tmp_path, lambda: believed_before(ledger))
    ledger.close()

    assert trust.pems == (OLD_PEM,)


def test_a_text_of_keys_is_read_whole_or_not_at_all() -> None:
    """Line ends and white space between blocks mean nothing."""
    assert public_keys("") == ()
    assert public_keys(f"\n{OLD_PEM}\r\n\n{NEW_PEM}") == (OLD_PEM, NEW_PEM)
    for text in (OLD_PEM + "x", "x" + OLD_PEM, OLD_PEM[5:], "-----END PUBLIC KEY-----"):
        with pytest.raises(KeyRefused):
            public_keys(text)
