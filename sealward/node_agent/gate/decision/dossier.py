"""The dossier of a server: the facts in a node's ledger about the server, read with or without an agent."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.error import SealwardError
from sealward.events.policy import DEFAULT
from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.node_agent.ledger import bindings, saved_images
from sealward.node_agent.ledger.mark import CHANGE, SIGNERS, newer
from sealward.node_agent.ledger.policies import NODE, standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.comparison.binding import Binding
    from sealward.events.policy import OnDoubt, Policy
    from sealward.node_agent.ledger.saved_images import SavedImage

SQL: Final = blocks("sealward.node_agent.ledger", "ledger.sql") | blocks(
    "sealward.node_agent.ledger", "generations.sql"
)
ACCEPTED: Final = "firmware-accepted"
FOUND: Final = "firmware-found"
"""The facts of the ledger that hold the firmware that was accepted and found; `files.firmware` writes
both."""


class LedgerUnreadable(SealwardError):
    """The ledger cannot be read."""

    code = "ledger-unreadable"


class Sealed(NamedTuple):
    """The reference in force, as it stands in the ledger: not verified."""

    sign_id: int
    generation: int
    envelope: str

    @property
    def order(self) -> tuple[int, int]:
        """Return the order of references: a later sign, or a later generation of a sign, is newer."""
        return self.sign_id, self.generation


class Dossier(NamedTuple):
    """The facts from which the gate decides about a server.

    `seen` is the newest (sign_id, generation) that the ledger ever had. `signers` are raw public keys, one of
    which must have signed the reference. `confirmed_at` is the moment at which the control plane was heard
    last; for `alone_for` after that the ledger may be relied on. Where the ledger's folder was replaced by an
    older copy, policy, `seen` and `signers` are those of its mark.
    """

    policy: Policy = DEFAULT
    entry: Sealed | None = None
    seen: tuple[int, int] | None = None
    signers: tuple[bytes, ...] = ()
    confirmed_at: datetime | None = None
    alone_for: timedelta = timedelta(0)
    last_moment: datetime | None = None
    hypervisor: str = ""
    is_firmware_intact: bool = True
    binding: Binding | None = None
    """The host-bound parts that the server may have; None in the ledger of an agent that knew no bindings."""
    expanded: frozenset[str] = frozenset()
    """The digests of the sections that libvirt expanded on this node, recorded while the server ran as it was
    signed."""
    saved_image: SavedImage | None = None
    """The image of the managed save of the server, if it has one."""
    is_put_back: bool = False
    """Whether the ledger's folder was replaced by an older copy."""
    is_told: bool = True
    """Whether the control plane ever told the ledger the policy of the node."""


def read(folder: str, server_id: str) -> Dossier:
    """Return the dossier of a server. Reads files alone, and raises LedgerUnreadable."""
    try:
        with (
            sqlite_file.reading(f"{folder}/ledger.sqlite") as ledger,
            sqlite_file.reading(f"{folder}/generations.sqlite") as seen,
        ):
            facts = dict(ledger.execute(SQL["all-facts"]).fetchall())
            rows = [ledger.execute(SQL["policy"], (one,)).fetchone() for one in (NODE, server_id)]
            entry = ledger.execute(SQL["entry"], (server_id,)).fetchone()
            binding = _binding(ledger, server_id)
            expanded = _expanded(ledger, server_id)
            image = _saved_image(ledger, server_id)
            newest = seen.execute(SQL["newest"], (server_id,)).fetchone()
        signers = facts.get(SIGNERS, "")
        put_back = newer(folder, int(facts.get(CHANGE, 0)), (NODE, server_id), server_id)
        if put_back is not None:
            (*rows,), newest, signers = put_back
        return Dossier(
            standing(*rows).policy,
            None if entry is None else Sealed(*entry),
            newest,
            tuple(bytes.fromhex(one) for one in signers.split()),
            _moment(facts.get("confirmed-at")),
            timedelta(seconds=float(facts.get("alone-for", 0))),
            _moment(facts.get("last-moment")),
            facts.get("hypervisor", ""),
            facts.get(ACCEPTED) in {None, facts.get(FOUND)},
            binding,
            expanded,
            image,
            put_back is not None,
            rows[0] is not None,
        )
    except (sqlite3.Error, ValueError, TypeError, KeyError) as unreadable:
        raise LedgerUnreadable(f"{folder}: {unreadable}") from unreadable


def references(folder: str) -> tuple[str, ...]:
    """Return the envelopes of all references of a node, not verified. Raises LedgerUnreadable."""
    try:
        with sqlite_file.reading(f"{folder}/ledger.sqlite") as ledger:
            return tuple(envelope for *_, envelope in ledger.execute(SQL["entries"]))
    except sqlite3.Error as unreadable:
        raise LedgerUnreadable(f"{folder}: {unreadable}") from unreadable


class Owner(NamedTuple):
    """A signed server, a belonging of it, and whether its policy refuses starts in doubt."""

    server_id: str
    belonging: str
    on_start: OnDoubt


def owners(folder: str, belongings: Iterable[str]) -> tuple[Owner, ...]:
    """Return the signed servers that have any of these belongings. Raises LedgerUnreadable."""
    try:
        with sqlite_file.reading(f"{folder}/ledger.sqlite") as ledger:
            if ledger.execute(SQL["has-belongings"]).fetchone() is None:
                return ()  # written by an agent of an earlier version
            found = ledger.execute(SQL["owners"], (json.dumps(sorted(belongings)),)).fetchall()
            of_node = ledger.execute(SQL["policy"], (NODE,)).fetchone()
            return tuple(
                Owner(server_id, belonging, standing(of_node, own).policy.on_start)
                for server_id, belonging in found
                for own in [ledger.execute(SQL["policy"], (server_id,)).fetchone()]
            )
    except (sqlite3.Error, ValueError, TypeError, KeyError) as unreadable:
        raise LedgerUnreadable(f"{folder}: {unreadable}") from unreadable


def _binding(ledger: sqlite3.Connection, server_id: str) -> Binding | None:
    if ledger.execute(SQL["has-bindings"]).fetchone() is None:
        return None  # written by an agent of an earlier version
    found = ledger.execute(SQL["binding"], (server_id,)).fetchone()
    return None if found is None else bindings.read(found[0])


def _expanded(ledger: sqlite3.Connection, server_id: str) -> frozenset[str]:
    if ledger.execute(SQL["has-expanded"]).fetchone() is None:
        return frozenset()  # as above
    return frozenset(digest for (digest,) in ledger.execute(SQL["expanded"], (server_id,)))


def _saved_image(ledger: sqlite3.Connection, server_id: str) -> SavedImage | None:
    if ledger.execute(SQL["has-saved-images"]).fetchone() is None:
        return None  # written by an agent of an earlier version
    found = ledger.execute(SQL["saved-image"], (server_id,)).fetchone()
    return None if found is None else saved_images.read(found[0])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
