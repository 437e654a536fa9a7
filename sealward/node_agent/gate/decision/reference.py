"""Verifies and reads the reference of a server in the ledger, with modules of Python alone.

`events.envelope` and `events.statement` define the forms, and read untrusted text. This module reads no text
before a signature of the authority on it was verified, so plain JSON is enough. A start waits for every
module that is imported.
"""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN, Measurement
from sealward.events.signing.dsse import Envelope, Signature, verify_any

if TYPE_CHECKING:
    from sealward.node_agent.gate.decision.dossier import Dossier

KINDS: Final = (
    "application/vnd.in-toto+json",
    "https://in-toto.io/Statement/v1",
    "urn:sealward:measurement:v1",
)
"""The types of the payload, the statement and the predicate, as in `events.statement`."""


class Unverified(Exception):
    """The reference was not measured by the node and countersigned by the authority."""


class Reference(NamedTuple):
    """The measurement that a server must have, and the evidence of how the server was when it was signed."""

    measurement: Measurement
    evidence: bytes


def verified(server_id: str | None, dossier: Dossier) -> Reference:
    """Return the reference of a server, with all signatures verified. Raises Unverified."""
    entry = dossier.entry
    if entry is None:
        raise Unverified
    try:
        envelope = _envelope(json.loads(entry.envelope))
        payload = verify_any(envelope, [Ed25519PublicKey.from_public_bytes(one) for one in dossier.signers])
        statement = json.loads(payload)
        said = statement["predicate"]
        stated = (said["serverId"], said["signId"], said["generation"])
        kinds = (envelope.payload_type, statement["_type"], statement["predicateType"])
        if (stated, kinds) != ((server_id, *entry.order), KINDS):
            raise Unverified
        evidence = binascii.a2b_base64(said["evidence"])
        return Reference(_in_force(_measurement(said, evidence), evidence), evidence)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as unreadable:
        raise Unverified from unreadable


def _in_force(sealed: Measurement, evidence: bytes) -> Measurement:
    if sealed.profile == LIBVIRT_DOMAIN:
        return sealed
    from sealward.node_agent.measuring.upgrade.remeasuring import as_in_force  # noqa: PLC0415 - references of before alone

    return as_in_force(sealed, evidence)[0]


def _envelope(fields: Any) -> Envelope:  # noqa: ANN401 - what JSON holds
    signatures = (
        Signature(one.get("keyid") or "", binascii.a2b_base64(one["sig"])) for one in fields["signatures"]
    )
    return Envelope(binascii.a2b_base64(fields["payload"]), fields["payloadType"], tuple(signatures))


def _measurement(said: Any, evidence: bytes) -> Measurement:  # noqa: ANN401 - what JSON holds
    files = {form: Listing(one["read"], one["unread"]) for form, one in said.get("files", {}).items()}
    doors, hidden, beside = said.get("doors"), said.get("hiddenDoors"), said.get("companions")
    found = Measurement(
        said["profile"],
        said["sections"],
        said["live"],
        said["hypervisor"],
        said.get("hostBound", {}),
        files,
        None if doors is None else tuple(doors),
        None if hidden is None else tuple(hidden),
        None if beside is None else Listing(beside["read"], beside["unread"]),
        named=said.get("named"),
    )
    if files:
        return found
    from sealward.events.comparison.evidence import with_files  # noqa: PLC0415 - references of before alone need it

    return with_files(found, evidence)
