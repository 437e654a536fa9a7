"""The ledger of a node: an SQLite file with its references, policies, reactions, bindings and clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.node_agent.gate import posted
from sealward.node_agent.ledger.generations import Generations
from sealward.node_agent.ledger.policies import NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SQL = blocks("sealward.node_agent.ledger", "ledger.sql")
_TICK = timedelta(microseconds=1)
BACK: Final = timedelta(seconds=60)
"""How far a clock may go back while `next_moment` still gives ever later times."""
STEP: Final = timedelta(seconds=30)
"""How far the clock goes on between two notes of how far it went."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The reference in force of one server: a sealed envelope as JSON text."""

    server_id: str
    sign_id: int
    generation: int
    envelope: str


class Ledger:
    """An SQLite file for its owner alone; safe for the threads of one agent."""

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self._generations = Generations(path.with_name("generations.sqlite"))
        self._lock = threading.Lock()
        self._database = sqlite_file.private(path)
        for table in (
            "create-entries",
            "create-facts",
            "create-policies",
            "create-reactions",
            "create-bindings",
            "create-expanded",
            "create-belongings",
            "create-saved-images",
        ):
            self._database.execute(SQL[table])
        self._last_said = self._moment("last-said")
        self._latest = self._moment("last-moment")
        self._posted, self._is_posted = "", False
        self._post()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        self._generations.close()

    def entries(self) -> list[Entry]:
        """Return all entries by sign_id."""
        with self._lock:
            return [Entry(*row) for row in self._database.execute(SQL["entries"])]

    def put(self, entry: Entry) -> None:
        """Keep an entry, unless the ledger has a newer entry of that server."""
        with self._lock:
            self._put(entry)
            self._post()
        self._generations.note(entry.server_id, entry.sign_id, entry.generation)

    def remove(self, server_id: str) -> None:
        """Forget a server."""
        with self._lock:
            self._database.execute(SQL["remove"], (server_id,))
            self._database.execute(SQL["forget-binding"], (server_id,))
            self._database.execute(SQL["forget-expanded"], (server_id,))
            self._database.execute(SQL["forget-belongings"], (server_id,))
            self._database.execute(SQL["forget-saved-image"], (server_id,))
            self._post()
        self._generations.forget(server_id)

    def replace_all(self, entries: Iterable[Entry]) -> None:
        """Keep these entries and no others, in one transaction."""
        kept = list(entries)
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["clear"])
            for entry in kept:
                self._put(entry)
            self._database.execute(SQL["forget-belongings-of-others"])
            self._post()
        self._generations.replace_all((one.server_id, one.sign_id, one.generation) for one in kept)

    def keep_belongings(self, of: Iterable[tuple[Entry, Callable[[], Iterable[str]]]]) -> None:
        """Keep what belongs to servers as of an entry of each. The function of an entry returns what belongs.

        The function is called only where the ledger does not have the answer yet.
        """
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for entry, belongings in of:
                place = (entry.server_id, entry.sign_id, entry.generation)
                if self._database.execute(SQL["keeps-belongings"], place).fetchone() is None:
                    self._database.execute(SQL["forget-belongings"], (entry.server_id,))
                    rows = [(*place, one) for one in belongings()]
                    self._database.executemany(SQL["keep-belonging"], rows)

    def fact(self, name: str) -> str | None:
        """Return the value of a named fact; None where there is no such fact."""
        with self._lock:
            row = self._database.execute(SQL["fact"], (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_fact(self, name: str, value: str) -> None:
        """Set the value of a named fact."""
        with self._lock:
            self._database.execute(SQL["keep-fact"], (name, value))

    def policy(self, server_id: str) -> tuple[str, int | None] | None:
        """Return the policy of a server as text, and the position of the event that set it.

        The policy of the node itself has the empty id.
        """
        with self._lock:
            row = self._database.execute(SQL["policy"], (server_id,)).fetchone()
        return None if row is None else (str(row[0]), row[1])

    def keep_policy(self, server_id: str, policy: str, position: int | None) -> None:
        """Keep a policy."""
        with self._lock:
            self._database.execute(SQL["keep-policy"], (server_id, policy, position))
            self._post()

    def forget_policy(self, server_id: str) -> None:
        """Forget the policy of a server."""
        with self._lock:
            self._database.execute(SQL["forget-policy"], (server_id,))
            self._post()

    def replace_policies(self, rows: Iterable[tuple[str, str, int | None]]) -> None:
        """Keep these policies and no others, in one transaction."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["clear-policies"])
            self._database.executemany(SQL["keep-policy"], rows)
            self._post()

    def keep_binding(self, server_id: str, binding: str) -> None:
        """Keep the binding of a server: the values that its host-bound parts may have."""
        with self._lock:
            self._database.execute(SQL["keep-binding"], (server_id, binding))

    def keep_expanded(self, server_id: str, digest: str) -> None:
        """Keep the digest of values that libvirt expanded here in a server that ran as it was signed."""
        with self._lock:
            self._database.execute(SQL["keep-expanded"], (server_id, digest))

    def expanded(self, server_id: str) -> frozenset[str]:
        """Return what libvirt expanded for this node when a server ran as it was signed."""
        with self._lock:
            return frozenset(digest for (digest,) in self._database.execute(SQL["expanded"], (server_id,)))

    def forget_expanded(self, server_id: str) -> None:
        """Forget what libvirt expanded for this node, for a server that was signed anew."""
        with self._lock:
            self._database.execute(SQL["forget-expanded"], (server_id,))

    def saved_image(self, server_id: str) -> str | None:
        """Return the record of the image of a server's managed save as text; None where there is none."""
        with self._lock:
            row = self._database.execute(SQL["saved-image"], (server_id,)).fetchone()
        return None if row is None else str(row[0])

    def keep_saved_image(self, server_id: str, image: str | None) -> None:
        """Keep the record of the image of a server's managed save, or none."""
        with self._lock:
            if image is None:
                self._database.execute(SQL["forget-saved-image"], (server_id,))
            else:
                self._database.execute(SQL["keep-saved-image"], (server_id, image))

    def replace_bindings(self, rows: Iterable[tuple[str, str]]) -> None:
        """Keep these bindings and no others, in one transaction."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["clear-bindings"])
            self._database.executemany(SQL["keep-binding"], rows)

    def reactions(self) -> list[str]:
        """Return the servers that have a reaction to their violation."""
        with self._lock:
            return [str(server_id) for (server_id,) in self._database.execute(SQL["reactions"])]

    def reaction(self, server_id: str) -> str | None:
        """Return until when a server may shut down; empty after the reaction, None where there is none."""
        with self._lock:
            row = self._database.execute(SQL["reaction"], (server_id,)).fetchone()
        return None if row is None else str(row[0])

    def keep_reaction(self, server_id: str, until: str) -> None:
        """Keep until when a server may shut down."""
        with self._lock:
            self._database.execute(SQL["keep-reaction"], (server_id, until))

    def forget_reaction(self, server_id: str) -> None:
        """Forget the reaction to a violation: the next violation gets a reaction of its own."""
        with self._lock:
            self._database.execute(SQL["forget-reaction"], (server_id,))

    def next_moment(self, now: datetime) -> datetime:
        """Return `now`; where the clock went back a little, just after the moment that was returned last.

        A clock that went back further was wrong before, and is believed again: the turns of reports give
        their order all the same. The ledger notes how far the clock went since the control plane was heard.
        So setting the clock back does not make the ledger fresh for the start gate.
        """
        last = self._last_said
        moment = now if last is None or now > last or last - now > BACK else last + _TICK
        self._last_said = moment
        self.keep_fact("last-said", moment.isoformat())
        if self._latest is None or moment - self._latest > STEP:
            self._keep_latest(moment)
        return moment

    def hear(self, now: datetime) -> None:
        """Note that the control plane was heard: the ledger is fresh now, also after the clock was wrong.

        Policies that could not be posted before, because of a full disk, are posted now.
        """
        with self._lock:
            if not self._is_posted:
                self._post()
        self.keep_fact("confirmed-at", now.isoformat())
        self._keep_latest(now)

    def is_ahead(self, now: datetime) -> bool:
        """Say whether the clock was later than `now` at some time since the control plane was heard."""
        return self._latest is not None and self._latest > now

    def _keep_latest(self, moment: datetime) -> None:
        self._latest = moment
        self.keep_fact("last-moment", moment.isoformat())

    def _moment(self, name: str) -> datetime | None:
        kept = self.fact(name)
        return None if kept is None else datetime.fromisoformat(kept)

    def _post(self) -> None:
        """Post the policies for the start gate, where they have changed.

        Nothing is posted before the control plane has told the node's policy: a new ledger must not replace
        the posted policies of the ledger before.
        """
        ids = [str(server_id) for (server_id,) in self._database.execute(SQL["server-ids"])]
        policies = {
            str(server_id): (str(policy), position)
            for server_id, policy, position in self._database.execute(SQL["policies"])
        }
        if NODE not in policies:
            return
        text = posted.text(ids, policies)
        is_there = text == self._posted and (self.folder / posted.NAME).exists()
        self._is_posted = is_there or posted.post(self.folder, text)
        if self._is_posted:
            self._posted = text

    def _put(self, entry: Entry) -> None:
        values = (entry.server_id, entry.sign_id, entry.generation, entry.envelope)
        self._database.execute(SQL["put"], values)
