"""Servers that may be coming to this node: the control plane tells their references to the start gate.

A server that migrates is prepared on the destination before it runs there, and so before its sign moves. The
start gate finds its reference in the ledger by then. The agent does not measure, sweep or report the server
before the sign is on this node.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.node_agent.ledger.references import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.node_agent.ledger.policies import Policies
    from sealward.node_agent.ledger.references import References
    from sealward.protocol.desired import Assignment
    from sealward.protocol.telling import Incoming

FRESH: Final = 10.0
"""Seconds for which an answer is used again: libvirt announces a server, and then prepares the server."""
KEPT: Final = 60.0
"""Seconds for which, at least, a reference stays in the ledger although its server does not come."""
ANSWERED_WITHIN: Final = 20.0
"""Seconds in which an answer counts. The control plane waits ten seconds for the home of a server."""
ASKED: Final = 10_000
"""How many of the last questions may still be answered."""
SPARED: Final = 10.0
"""Seconds for which no thread waits again, after the control plane gave no answer."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An answer, and when it came."""

    at: float
    sign: Assignment | None


class ExpectedServers:
    """The servers that may be coming to one node. For any thread.

    `ask` sends a question about a server, with a nonce, and says whether it could. An answer counts once, and
    within ANSWERED_WITHIN, if it repeats the nonce of a question about its server: a user that can write to
    the queue of a node can repeat messages of the authority.
    """

    def __init__(
        self,
        policies: Policies,
        ask: Callable[[str, str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = policies
        self._ask = ask
        self._clock = clock
        self._references: References | None = None
        self._told: dict[str, _Told] = {}
        self._asked: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By nonce the server that the question was about, and when it was asked."""
        self._heard = threading.Condition()
        self._spared_until = 0.0

    def begin(self, references: References) -> None:
        """Take over the references of this node's own servers: no question about them is needed."""
        self._references = references
        with self._heard:
            self._told = {name: one for name, one in self._told.items() if name not in references}

    def inquire(self, server_id: str, seconds: float, *, anew: bool = False) -> bool:
        """Say whether the control plane has told the reference of a server; if not, ask and wait for that.

        With `anew`, ask although there is an answer, and wait although a question was not answered just now.
        """
        if self._is_own(server_id):
            return True
        now = self._clock()
        since = now if anew else now - FRESH
        if self._is_told(server_id, since):
            return True
        if not self._ask(server_id, self._question(server_id)):
            return False
        patience = seconds if anew or now >= self._spared_until else 0.0
        with self._heard:
            heard = self._heard.wait_for(lambda: self._is_told(server_id, since), patience)
            if not heard:
                self._spared_until = self._clock() + SPARED
        return heard

    def take(self, incoming: Incoming) -> None:
        """Take an answer. Not to be called while the agent takes over its state.

        A reference that does not verify is no answer: the start gate keeps waiting.
        """
        if not self._is_answer(incoming):
            return
        if incoming.assignment is None or self._keep(incoming.assignment):
            with self._heard:
                self._told[incoming.server_id] = _Told(self._clock(), incoming.assignment)
                self._spared_until = 0.0
                self._heard.notify_all()

    def expected(self) -> list[Assignment]:
        """Return the signs of the servers that may still be coming."""
        with self._heard:
            return [one.sign for one in self._told.values() if one.sign is not None]

    def forget(self) -> None:
        """Forget the servers that did not come within KEPT seconds."""
        with self._heard:
            old = [name for name, one in self._told.items() if one.at < self._clock() - KEPT]
            for name in old:
                del self._told[name]
        for name in old:
            if self._references is not None and name not in self._references:
                self._references.remove(name)
                self._policies.forget(name)

    def _question(self, server_id: str) -> str:
        """Return the nonce of a new question."""
        nonce = secrets.token_hex(16)
        with self._heard:
            self._asked[nonce] = (server_id, self._clock())
            if len(self._asked) > ASKED:
                self._asked.popitem(last=False)
        return nonce

    def _is_answer(self, incoming: Incoming) -> bool:
        """Say whether this is the answer to a question, for the first time."""
        with self._heard:
            server_id, at = self._asked.pop(incoming.answers, ("", 0.0))
        return server_id == incoming.server_id and self._clock() - at <= ANSWERED_WITHIN

    def _keep(self, sign: Assignment) -> bool:
        """Keep a reference beside this node's own references; say whether it verifies."""
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
