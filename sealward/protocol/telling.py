"""What the control plane tells a node: every message is signed by the authority, for that node alone.

A message is a DSSE envelope. Who can write to a node's queue at the broker can delay what the node hears or
send an old message once more, and can change nothing: the node believes no other messages than these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sealward.error import SealwardError
from sealward.events import typed
from sealward.events.signing import dsse
from sealward.events.signing import envelope as envelopes
from sealward.protocol.reports import Behind, Desired, Incoming, Inquiry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.sealward.told+json"


class Happened(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """An event of the log that concerns the node, as the CloudEvent that subscribers get."""

    event: msgspec.Raw


class Anew(msgspec.Struct, frozen=True, tag_field="kind", tag="anew"):
    """The node has to register: what changed at `position` of the log is in the answer alone.

    A node is told so when a sign moves, when it returns, and after a message to it was lost.
    """

    position: int


Message = Desired | Behind | Incoming | Inquiry | Happened | Anew
"""All that a node can be told. `kind` tells the messages apart."""


class Told(msgspec.Struct, frozen=True):
    """A message for the node with the hostname `to`.

    It has no time: positions of the log and nonces order what nodes are told.
    """

    to: str
    message: Message


class NotTold(SealwardError, ValueError):
    """The message is not from the authority for this node. It is ignored."""

    code = "told.refused"


class ToldMalformed(NotTold):
    """The message is no signed message of a control plane, or of one with a newer version."""

    code = "told.malformed"


class ToldUnreadable(NotTold):
    """The authority has signed a message that this version does not know: upgrade the agent."""

    code = "told.unreadable"


class ToldNotVerified(NotTold):
    """No key of the authority that this node knows has signed the message."""

    code = "told.not-verified"


class ToldToAnother(NotTold):
    """The message is for another node."""

    code = "told.to-another"


def seal(told: Told, key: Ed25519PrivateKey) -> bytes:
    """Return the message as an envelope that the authority's key has signed."""
    envelope = envelopes.Envelope(msgspec.json.encode(told), PAYLOAD_TYPE)
    return msgspec.json.encode(envelopes.sign(envelope, key).to_json())


def unseal(body: bytes, to: str, keys: Iterable[Ed25519PublicKey]) -> Told:
    """Return the message when one of the keys has signed it for the node with that hostname.

    Raises ToldMalformed, ToldUnreadable, ToldNotVerified, ToldToAnother.
    """
    envelope = _envelope(body)
    try:
        payload = dsse.verify_any(envelope, keys)
    except envelopes.NotVerified as unverified:
        raise ToldNotVerified(str(unverified)) from unverified
    try:
        told = _decoded(payload)
    except ToldMalformed as unknown:
        raise ToldUnreadable(str(unknown)) from unknown
    if told.to != to:
        raise ToldToAnother(ToldToAnother.__doc__)
    return told


def unverified(body: bytes) -> Told:
    """Return the message without looking at who has signed it. Raises ToldMalformed."""
    return _decoded(_envelope(body).payload)


def _envelope(body: bytes) -> envelopes.Envelope:
    try:
        envelope = envelopes.parse(body)
    except envelopes.EnvelopeRefused as refused:
        raise ToldMalformed(str(refused)) from refused
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ToldMalformed("the payload has another type")
    return envelope


def _decoded(payload: bytes) -> Told:
    try:
        return _TOLD.decode(payload)
    except (ValueError, msgspec.MsgspecError, RecursionError) as unreadable:
        raise ToldMalformed(str(unreadable)) from unreadable


_TOLD: Final = typed.decoder(Told)
