"""`sealward verify`: check the signatures of an envelope, offline, with keys that the caller trusts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.characters import escaped
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.events.signing.dsse import Envelope


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    verify = commands.add_parser(
        "verify",
        help="check an envelope's signatures; status 1 when a key has not signed it",
        description="Check that EVERY given key has signed the envelope, and print the statement in it. Keys "
        "are counted, not files: a key that is in two files, in any form, is one key.",
    )
    verify.add_argument(
        "envelope", type=Path, help="the answer of GET /v1/sign/{server_id}/envelope, - for stdin"
    )
    verify.add_argument(
        "--key",
        type=Path,
        action="append",
        required=True,
        metavar="PEM",
        help="a file with one public key; repeat it for another key",
    )
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> int:
    from sealward.events.signing import envelope as envelopes
    from sealward.events.signing import statement as statements
    from sealward.events.signing.keys import KeyRefused

    with refusing(envelopes.EnvelopeRefused, KeyRefused, OSError):
        text = sys.stdin.buffer.read() if str(args.envelope) == "-" else args.envelope.read_bytes()
        envelope = envelopes.parse(text)
        trusted = _distinct(args.key)
    try:
        payload = envelopes.verify(envelope, trusted)
    except envelopes.NotVerified as refused:
        found = sum(_has_signed(envelope, key) for key in trusted)
        print(f"NOT VERIFIED: {refused}")
        _list_keys(envelope, args.key)
        print(f"signed by {found} of {len(trusted)} keys{_repeated(args.key, trusted)}; all are needed")
        return 1
    try:
        statement = statements.parse(payload, envelope.payload_type)
    except statements.StatementRefused as refused:
        raise Refusal(f"the signatures are good, but {refused}") from refused
    print(f"verified: signed by {len(trusted)} of {len(trusted)} keys{_repeated(args.key, trusted)}")
    print(f"server {statement.server_id}, generation {statement.generation}, node {statement.node_id}")
    print(f"measured at {statement.measured_at.isoformat()} under {statement.measurement.profile}")
    print(f"digest {statement.measurement.digest}")
    return 0


def _list_keys(envelope: Envelope, files: Sequence[Path]) -> None:
    """Print the ids of the keys that the envelope names, and of the keys in the files.

    An envelope can name any key id: only a signature that verifies counts.
    """
    from sealward.events.signing.keyid import keyid
    from sealward.events.signing.keys import public_key

    for signature in envelope.signatures:
        print(escaped(f"the envelope names the key {signature.keyid or '(none)'}"))
    for path in files:
        key = public_key(path.read_bytes())
        has = "has" if _has_signed(envelope, key) else "has not"
        print(escaped(f"{path}: the key {keyid(key)} {has} signed it"))


def _distinct(paths: Sequence[Path]) -> list[Ed25519PublicKey]:
    """Return the distinct keys in the files. Raises KeyRefused, OSError, Refusal (two keys in a file)."""
    from sealward.events.signing.keys import public_key

    found: dict[bytes, Ed25519PublicKey] = {}
    for path in paths:
        text = path.read_bytes()
        if text.count(b"-----BEGIN") > 1:
            raise Refusal(
                f"{path}: more than one key, of which only the first would count; give a file for each"
            )
        key = public_key(text)
        found.setdefault(key.public_bytes_raw(), key)
    return list(found.values())


def _repeated(files: Sequence[Path], keys: Sequence[Ed25519PublicKey]) -> str:
    return f" (in {len(files)} files)" if len(files) > len(keys) else ""


def _has_signed(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    from sealward.events.signing.envelope import NotVerified, verify

    try:
        verify(envelope, [key])
    except NotVerified:
        return False
    return True
