"""The bindings of a node's servers. The ledger has them: the start gate decides by them without the agent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.binding import AS_SIGNED, Binding, after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealward.events.sign import SignEvent
    from sealward.node_agent.ledger.ledger import Ledger

COMING: Final = Binding(is_open=True)
"""The binding of a server that may be coming: the parts that a move rewrites may be anything."""


class Bindings:
    """The bindings of one node, for the threads of one agent."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bindings: dict[str, Binding] = {}
        self._expanded: dict[str, frozenset[str]] = {}

    def replace_all(self, bindings: Mapping[str, Binding], coming: Iterable[str] = ()) -> None:
        """Keep these bindings, the binding COMING for servers that may be `coming`, and no others."""
        self._bindings = dict(bindings)
        kept = dict.fromkeys(coming, COMING) | self._bindings
        self._ledger.replace_bindings((server_id, text(one)) for server_id, one in kept.items())

    def of(self, server_id: str) -> Binding:
        """Return the binding of one of this node's servers."""
        return self._bindings.get(server_id, AS_SIGNED)

    def ran(self, server_id: str, expanded: frozenset[str]) -> None:
        """Note the digests of values that libvirt expanded here in a server that runs as it was signed."""
        if expanded and self._expanded.get(server_id) != expanded:
            self._expanded[server_id] = expanded
            for digest in expanded:
                self._ledger.keep_expanded(server_id, digest)

    def expanded(self, server_id: str) -> frozenset[str]:
        """Return what libvirt has expanded for this node whenever that server ran as it was signed."""
        return self._ledger.expanded(server_id)

    def hear(self, event: SignEvent) -> None:
        """Take over what an event of a sign changes. A new reference may have another CPU model to expand."""
        from sealward.events.sign import SignSealed  # noqa: PLC0415 - the start gate reads bindings in a hurry

        if isinstance(event, SignSealed):
            self._expanded.pop(event.server_id, None)
            self._ledger.forget_expanded(event.server_id)
        before = self._bindings.get(event.server_id)
        found = after(before or AS_SIGNED, event)
        if found != before:
            self._bindings[event.server_id] = found
            self._ledger.keep_binding(event.server_id, text(found))


def text(binding: Binding) -> str:
    """Return a binding as text for the ledger."""
    return json.dumps(asdict(binding))


def read(kept: str) -> Binding:
    """Return a binding from the text in the ledger. Raises ValueError, TypeError."""
    return Binding(**json.loads(kept))
