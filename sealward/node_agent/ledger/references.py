"""The references that a node compares servers with, read from sealed envelopes and kept in its ledger."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sealward.events.comparison.evidence import with_files
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.node_agent.ledger import bindings
from sealward.node_agent.ledger.ledger import Entry
from sealward.node_agent.measuring import belongings
from sealward.node_agent.measuring.upgrade.remeasuring import as_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.events.comparison.measurement import Measurement
    from sealward.events.comparison.remeasured import Remeasured
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.protocol.desired import Assignment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """The measurement of a signed server. `evidence` explains what the server was like when it was signed."""

    server_id: str
    sign_id: int
    generation: int
    measurement: Measurement
    evidence: bytes
    remeasured: Remeasured | None = None
    """How the reference was measured anew, where it was sealed under the profile before."""


class References:
    """All references of a node, by server: only references that one of the `signers` has signed."""

    def __init__(self, ledger: Ledger, signers: Iterable[Ed25519PublicKey]) -> None:
        self._ledger = ledger
        self._signers = tuple(signers)
        self._references: dict[str, Reference] = {}

    def __iter__(self) -> Iterator[Reference]:
        """Iterate by sign_id."""
        return iter(sorted(self._references.values(), key=lambda one: one.sign_id))

    def __contains__(self, server_id: str) -> bool:
        return server_id in self._references

    def get(self, server_id: str) -> Reference | None:
        """Return the reference of a server."""
        return self._references.get(server_id)

    def replace_all(self, entries: Iterable[Entry], beside: Iterable[Entry] = ()) -> None:
        """Take these references and no others. The ledger alone keeps those `beside`, for the start gate."""
        read = [(entry, self._read(entry)) for entry in entries]
        good = [(entry, reference) for entry, reference in read if reference is not None]
        self._ledger.replace_all([*(one for one in beside if self._read(one)), *(entry for entry, _ in good)])
        self._references = {reference.server_id: reference for _, reference in good}
        self._keep_belongings(good)

    def lay_beside(self, entry: Entry) -> bool:
        """Keep the reference of a server that may be coming, in the ledger alone; say whether it verifies."""
        good = self._read(entry) is not None
        if good:
            self._ledger.keep_binding(entry.server_id, bindings.text(bindings.COMING))
            self._ledger.put(entry)
        return good

    def put(self, server_id: str, sign_id: int, generation: int, envelope: dict[str, object]) -> None:
        """Take a newly sealed reference."""
        entry = Entry(server_id, sign_id, generation, json.dumps(envelope))
        reference = self._read(entry)
        if reference is not None:
            self._ledger.put(entry)
            self._references[server_id] = reference
            self._keep_belongings([(entry, reference)])

    def remove(self, server_id: str) -> None:
        """Forget a server."""
        self._ledger.remove(server_id)
        self._references.pop(server_id, None)

    def _keep_belongings(self, known: Iterable[tuple[Entry, Reference]]) -> None:
        self._ledger.keep_belongings(
            (entry, partial(belongings.of_evidence, reference.evidence)) for entry, reference in known
        )

    def _read(self, entry: Entry) -> Reference | None:
        try:
            envelope = envelopes.parse(entry.envelope)
            statement = statements.parse(envelopes.verify_any(envelope, self._signers), envelope.payload_type)
        except (envelopes.EnvelopeRefused, envelopes.NotVerified, statements.StatementRefused) as refused:
            log.error("the reference of %s is not used: %s", entry.server_id, refused)  # noqa: TRY400 - no traceback
            return None
        stated = (statement.server_id, statement.sign_id, statement.generation)
        if stated != (entry.server_id, entry.sign_id, entry.generation):
            log.error(
                "the reference of %s is not used: it names another server, sign or generation",
                entry.server_id,
            )
            return None
        sealed = with_files(statement.measurement, statement.evidence)
        measurement, remeasured = as_in_force(sealed, statement.evidence)
        return Reference(
            entry.server_id, entry.sign_id, entry.generation, measurement, statement.evidence, remeasured
        )


def entries(assignments: Iterable[Assignment]) -> Iterator[Entry]:
    """Yield the references in force of the assignments that have a reference."""
    for one in assignments:
        if one.envelope is not None:
            yield Entry(one.server_id, one.sign_id, one.sealed, one.envelope)
