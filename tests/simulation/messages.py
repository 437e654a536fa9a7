"""What a message of a simulation says, for those who look at it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keyid import keyid
from sealward.protocol import codec, reports, telling
from sealward.protocol.telling import Behind, Incoming, Inquiry


def apart(body: bytes, keys: Mapping[str, Ed25519PrivateKey], *kinds: type[reports.Report]) -> list[bytes]:
    """Return what a node reported of those kinds, each as if it was said by itself.

    What was said under another key than the one of `keys` would be another message, and is left out.
    """
    envelope = envelopes.parse(body)
    signers = {one.keyid for one in envelope.signatures}
    found = [one for one in said(body) if isinstance(one, kinds)]
    turn = codec.turn_of(codec.parse(envelope))
    return [
        codec.seal(codec.numbered(one, turn), keys[one.hostname])
        for one in found
        if keyid(keys[one.hostname].public_key()) in signers
    ]


def said(body: bytes) -> list[reports.AnyReport]:
    """Return what a node reported, one by one."""
    parts = codec.unbundle(codec.parse(envelopes.parse(body)))
    return [one for one in parts if not isinstance(one, codec.ReportMalformed)]


def speaker(body: bytes) -> str:
    """Return the hostname of the node that reported."""
    return codec.parse(envelopes.parse(body)).hostname


def named(body: bytes) -> str:
    """Return what a message is, for the trace."""
    if envelopes.parse(body).payload_type == telling.PAYLOAD_TYPE:
        return _told(telling.unverified(body).message)
    return " + ".join(
        f"{type(one).__name__} of {one.hostname} {getattr(one, 'server_id', '')[:8]}" for one in said(body)
    )


def _told(message: telling.Message) -> str:
    if isinstance(message, telling.Happened):
        fields = msgspec.json.decode(message.event)
        return f"{fields['type']} {int(fields['sequence'])} {(fields['data'].get('server_id') or '')[:8]}"
    if isinstance(message, Incoming | Inquiry):
        return f"{type(message).__name__} {message.server_id[:8]}".lower()
    if isinstance(message, Behind):
        return f"behind boot {message.boot}"
    return f"{type(message).__name__} as of {message.position}".lower()
