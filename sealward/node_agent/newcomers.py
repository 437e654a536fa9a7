"""Servers that may be coming here: what the control plane says of them, for the start gate alone.

A server that migrates is prepared here before it runs here, so before its sign moves. Its reference is in the
ledger by then, where the gate finds it; it is not measured, swept or reported before the sign is this node's.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.node_agent.references import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.node_agent.policies import Policies
    from sealward.node_agent.references import References
    from sealward.protocol import reports

FRESH: Final = 10.0
"""Seconds for which an answer need not be asked for again: libvirt announces a server, then prepares it."""
KEPT: Final = 60.0
"""Seconds for which a reference stays in the ledger, at least, although its server does not come."""
SPARED: Final = 10.0
"""Seconds in which nobody waits again for a control plane that has just given no answer."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An answer, and when it came."""

    at: float
    sign: reports.Assignment | None


class Newcomers:
    """For any thread. `ask` puts a question to the control plane, and says whether it could."""

    def __init__(
        self, policies: Policies, ask: Callable[[str], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policies = policies
        self._ask = ask
        self._clock = clock
        self._references: References | None = None
        self._told: dict[str, _Told] = {}
        self._heard = threading.Condition()
        self._spared_until = 0.0

    def begin(self, references: References) -> None:
        """Know which servers this node has to know, and is told of, anyway; they may have come just now."""
        self._references = references
        with self._heard:
            self._told = {name: one for name, one in self._told.items() if name not in references}

    def inquire(self, server_id: str, seconds: float, *, anew: bool = False) -> bool:
        """Say whether all is known of a server that there is to know; if not, ask and wait for the answer.

        `anew` asks although there is an answer, and waits in any case.
        """
        if self._is_own(server_id):
            return True
        now = self._clock()
        since = now if anew else now - FRESH
        if self._is_told(server_id, since):
            return True
        if not self._ask(server_id):
            return False
        patience = seconds if anew or now >= self._spared_until else 0.0
        with self._heard:
            heard = self._heard.wait_for(lambda: self._is_told(server_id, since), patience)
            if not heard:
                self._spared_until = self._clock() + SPARED
        return heard

    def take(self, incoming: reports.Incoming) -> None:
        """Take an answer; not while the agent takes everything over.

        A reference that does not verify is no answer: the gate goes on waiting for one.
        """
        if incoming.assignment is None or self._keep(incoming.assignment):
            with self._heard:
                self._told[incoming.server_id] = _Told(self._clock(), incoming.assignment)
                self._spared_until = 0.0
                self._heard.notify_all()

    def expected(self) -> list[reports.Assignment]:
        """Return the signs of the servers that may still be coming."""
        with self._heard:
            return [one.sign for one in self._told.values() if one.sign is not None]

    def forget(self) -> None:
        """Forget those that did not come."""
        with self._heard:
            old = [name for name, one in self._told.items() if one.at < self._clock() - KEPT]
            for name in old:
                del self._told[name]
        for name in old:
            if self._references is not None and name not in self._references:
                self._references.remove(name)
                self._policies.forget(name)

    def _keep(self, sign: reports.Assignment) -> bool:
        """Lay a reference beside this node's own; say whether it could be."""
        if self._references is None:
            return False
        if sign.server_id in self._references:
            return True
        good = all(self._references.lay_beside(one) for one in entries([sign]))
        if good:
            self._policies.set_server(sign.server_id, sign.policy, sign.policy_position)
        return good

    def _is_own(self, server_id: str) -> bool:
        return self._references is not None and server_id in self._references

    def _is_told(self, server_id: str, since: float) -> bool:
        told = self._told.get(server_id)
        return told is not None and told.at >= since
