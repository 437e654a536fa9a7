"""`sealward verify`: check the signatures of an envelope, offline, with keys that the caller trusts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    verify = commands.add_parser(
        "verify",
        help="check an envelope's signatures; status 1 when a key has not signed it",
        description="Check that EVERY given key has signed the envelope, and print what it states.",
    )
    verify.add_argument(
        "envelope", type=Path, help="what GET /v1/sign/{server_id}/envelope answered, - for stdin"
    )
    verify.add_argument(
        "--key", type=Path, action="append", required=True, metavar="PEM", help="a public key; repeat"
    )
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> int:
    from sealward.events import envelope as envelopes
    from sealward.events import statement as statements
    from sealward.events.keys import KeyRefused, public_key

    text = sys.stdin.buffer.read() if str(args.envelope) == "-" else args.envelope.read_bytes()
    with refusing(envelopes.EnvelopeRefused, KeyRefused):
        envelope = envelopes.parse(text)
        trusted = [public_key(path.read_bytes()) for path in args.key]
    try:
        payload = envelopes.verify(envelope, trusted)
    except envelopes.NotVerified as refused:
        print(f"NOT VERIFIED: {refused}")
        return 1
    try:
        statement = statements.parse(payload, envelope.payload_type)
    except statements.StatementRefused as refused:
        raise Refusal(f"the signatures are good, but {refused}") from refused
    print(f"verified: signed by {len(trusted)} of {len(trusted)} keys")
    print(f"server {statement.server_id}, generation {statement.generation}, node {statement.node_id}")
    print(f"measured at {statement.measured_at.isoformat()} under {statement.measurement.profile}")
    print(f"digest {statement.measurement.digest}")
    return 0
