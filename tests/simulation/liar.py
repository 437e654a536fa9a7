"""A node of a simulation that claims the servers of others, asks for their references, and forges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from reporter import Reporter
from simulation.messages import said

from sealward.protocol import reports
from sealward.protocol.telling import Inquiry

KEY = Ed25519PrivateKey.from_private_bytes(bytes([66]) * 32)
FEW = 2
"""Claims to one server: a third one would stand for a while after it is withdrawn."""


class Liar:
    """Speaks with a valid key and in order; what it is told it keeps."""

    def __init__(self, submit: Callable[[bytes], None]) -> None:
        self.reporter = Reporter("kvm66", 3, KEY)
        self.queue = "node.kvm66"
        self.claims: set[str] = set()
        self.told: list[bytes] = []
        self._begun: Counter[str] = Counter()
        self._submit = submit

    def register(self) -> None:
        """Make itself known, as any node."""
        self._submit(self.reporter.registration())
        self._say_inventory()

    def claim(self, server_id: str) -> bool:
        """Say that a server runs here, unless that was said too often; say whether it was."""
        self._begun[server_id] += 1
        if server_id in self.claims or self._begun[server_id] > FEW:
            return False
        self.claims.add(server_id)
        self._say_inventory()
        return True

    def withdraw(self, server_ids: Sequence[str]) -> None:
        """Say that servers do not run here."""
        self.claims.difference_update(server_ids)
        self._say_inventory()

    def ask(self, server_id: str) -> None:
        """Have a start gate ask for the reference of a server."""
        self._submit(self.reporter.wanted(server_id))

    def forge(self, server_id: str, sign_id: int, moment: datetime, task_id: str | None) -> None:
        """Say what a server that it does not have measures, for the order that waits."""
        self._submit(self.reporter.measured(server_id, sign_id, moment, disk="evil", task_id=task_id))

    def announce(self, server_id: str, moment: datetime) -> None:
        """Answer a question that was put to another node."""
        self._submit(self.reporter.leaving(Inquiry(server_id, f"n-{len(self.told)}"), moment))

    def claimed_in(self, body: bytes) -> set[str]:
        """Return the servers that a message claims, if it is this node's."""
        inventories = [one for one in said(body) if isinstance(one, reports.Inventory)]
        own = (one for one in inventories if one.hostname == self.reporter.hostname)
        return {server_id for one in own for server_id, _ in one.instances}

    def given(self) -> list[str]:
        """Return the servers whose references it was given."""
        read = [msgspec.json.decode(one) for one in self.told]
        assigned = [one["assignments"] for one in read if one.get("kind") == "desired"]
        incoming = [
            [one["assignment"]] for one in read if one.get("kind") == "incoming" and one["assignment"]
        ]
        return [one["server_id"] for some in (*assigned, *incoming) for one in some]

    def _say_inventory(self) -> None:
        self._submit(self.reporter.inventory(*sorted(self.claims), running=self.claims))
