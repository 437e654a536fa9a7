"""The messages from the control plane to one node, each signed by the authority for that node alone.

A message travels in a DSSE envelope, and the node ignores every message that the authority has not signed.
An attacker who can write to the node's queue at the broker can therefore delay messages and repeat old
messages, but cannot forge or change a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sealward.error import SealwardError
from sealward.events import typed
from sealward.events.signing import dsse
from sealward.events.signing import envelope as envelopes
from sealward.protocol.desired import Assignment, Desired
from sealward.protocol.reports import Number  # noqa: TC001 - the wire form is read off the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.sealward.told+json"


class Incoming(msgspec.Struct, frozen=True, tag_field="kind", tag="incoming"):
    """The answer to the report Wanted: the sign of a server that migrates to the node, or None.

    None does not say whether the server is signed. The control plane answers None for a server without a
    sign, and for a server whose home does not migrate the server to the node that asks. `answers` is the
    nonce of the question. An agent ignores an answer to a nonce that it does not wait for, so an old answer
    that is delivered again changes nothing.
    """

    server_id: str
    assignment: Assignment | None
    answers: str = ""


class Behind(msgspec.Struct, frozen=True, tag_field="kind", tag="behind"):
    """The answer to a registration whose turn is not later than the last turn of the node's key.

    The cause is a node's ledger that was lost or restored from a backup. The agent continues with a boot
    number greater than `boot`. `answers` is the nonce of the registration. An agent ignores an answer to a
    nonce that it does not wait for, so a registration that an attacker sends again changes nothing.
    """

    boot: Number
    answers: str


class Inquiry(msgspec.Struct, frozen=True, tag_field="kind", tag="inquiry"):
    """The control plane asks a server's home whether the server leaves the home now.

    The home answers with the report Leaving, which repeats the `nonce`.
    """

    server_id: str
    nonce: str


class Happened(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """An event of the log that concerns the node: the same CloudEvent that subscribers of the bus receive."""

    event: msgspec.Raw


class Anew(msgspec.Struct, frozen=True, tag_field="kind", tag="anew"):
    """The node has to register again, because only the answer to a registration has all that changed.

    The change is the event at `position` of the log. A node receives this message when a sign moves to or
    from the node, when the node returns after a silence, and after a message to the node was lost.
    """

    position: int


Message = Desired | Behind | Incoming | Inquiry | Happened | Anew
"""Every message that the control plane sends to nodes. The JSON field `kind` has the message's tag."""


class Told(msgspec.Struct, frozen=True):
    """A message and its addressee: `to` is the hostname of the node.

    The message has no timestamp. Positions of the log and nonces tell an agent which messages are old.
    """

    to: str
    message: Message


class NotTold(SealwardError, ValueError):
    """The authority did not sign this message for this node. The agent ignores the message."""

    code = "told.refused"


class ToldMalformed(NotTold):
    """The message is not a signed message of a control plane, or a newer version of Sealward sent it."""

    code = "told.malformed"


class ToldUnreadable(NotTold):
    """The authority signed a message that this version of the agent does not know: upgrade the agent."""

    code = "told.unreadable"


class ToldNotVerified(NotTold):
    """None of the authority's keys that this node knows signed the message."""

    code = "told.not-verified"


class ToldToAnother(NotTold):
    """The message is addressed to another node."""

    code = "told.to-another"


def seal(told: Told, key: Ed25519PrivateKey) -> bytes:
    """Return the bytes of a DSSE envelope, signed with the authority's key, that holds the message."""
    envelope = envelopes.Envelope(msgspec.json.encode(told), PAYLOAD_TYPE)
    return msgspec.json.encode(envelopes.sign(envelope, key).to_json())


def unseal(body: bytes, to: str, keys: Iterable[Ed25519PublicKey]) -> Told:
    """Return the message of an envelope that one of the `keys` signed for the node with the hostname `to`.

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
    """Return the message of an envelope without verifying any signature. Raises ToldMalformed."""
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
