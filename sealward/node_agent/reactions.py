"""Reactions to violations: a running server whose verdict is false is stopped, where its policy says so.

The agent has the server shut down, and destroys the server when it still runs after its grace. The ledger
notes each action before the agent takes it, so there is one reaction to a violation, whenever the agent ends
and starts again. An unknown verdict leads to no reaction. A verdict that is true again ends a reaction.

A node reacts only to its own findings: this agent must have found the server changed, because the verdict
may be from a node on which the server was before. While another node claims the server, no node reacts.

A server without a persistent definition is gone from libvirt when it stops. Clouds undefine a running server
for the time of a block job, and define it again. So an action waits until the server is defined again, for
at most UNDEFINED_FOR seconds.
"""

from __future__ import annotations

import logging
import os
from concurrent import futures
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealward.events.enforcement import Action, Outcome
from sealward.events.policy import OnViolation
from sealward.node_agent.daemon_threads import DaemonPool
from sealward.node_agent.gate import spool
from sealward.node_agent.measuring.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.node_agent.ledger.ledger import Ledger
    from sealward.node_agent.ledger.policies import Policies, Standing

    Act = Callable[[str, Action], None]

log = logging.getLogger(__name__)

PATIENCE: Final = 20.0
"""Seconds that libvirt gets for one action. The other work of the agent waits meanwhile."""
UNDEFINED_FOR: Final = timedelta(minutes=5)
"""For how long a server without a persistent definition is spared."""
DONE: Final = ""
"""Stands in the ledger in the place of a deadline after the last action of a reaction."""


class ActionFailed(Exception):
    """libvirt did not carry out an action; the message says why."""


class Reactions:
    """The reactions of one node, for the thread of one agent. `act` acts on a server, or raises ActionFailed.

    `wake` causes a call of `step` after so many seconds. `is_found` says whether this agent found a server
    different from its reference when it measured the server last.
    """

    def __init__(  # noqa: PLR0913 - what reacting needs
        self,
        ledger: Ledger,
        hypervisor: Hypervisor,
        policies: Policies,
        act: Act,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[float], None],
        is_found: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._hypervisor = hypervisor
        self._policies = policies
        self._act = act
        self._is_found = is_found
        self._claimed: dict[str, set[int]] = {}
        """By server the ids of the nodes that claim it."""
        self._clock = clock
        self._wake = wake
        self._violated: dict[str, int] = {}
        self._woken: dict[str, str] = {}
        self._undefined: dict[str, datetime] = {}
        """By server the moment since which a reaction waits for its persistent definition."""
        self._pool = DaemonPool(1, "reaction")

    def close(self) -> None:
        """End. An action that libvirt has not answered is not waited for."""
        self._pool.shutdown(cancel_futures=True)

    def take_over(self, violated: dict[str, int], claimed: dict[str, set[int]]) -> None:
        """Take over which servers are in violation, with the generations of their references.

        `claimed` has the servers that other nodes claim, with the ids of those nodes.
        """
        self._violated = dict(violated)
        self._claimed = claimed
        for server_id in self._ledger.reactions():
            if server_id not in violated:
                self._ledger.forget_reaction(server_id)

    def violated(self, server_id: str, generation: int) -> None:
        """Note that the verdict of a server is false."""
        self._violated[server_id] = generation

    def cleared(self, server_id: str) -> None:
        """Note that the verdict of a server is true, or that the server has a new reference or none."""
        self._violated.pop(server_id, None)
        self._undefined.pop(server_id, None)
        self._ledger.forget_reaction(server_id)

    def claimed(self, server_id: str, node_id: int) -> None:
        """Note that another node claims a server."""
        self._claimed.setdefault(server_id, set()).add(node_id)

    def unclaimed(self, server_id: str, node_id: int) -> None:
        """Note that another node no longer claims a server."""
        self._claimed.get(server_id, set()).discard(node_id)

    def step(self) -> bool:
        """Take the actions that are due; say whether there was an action."""
        acted = [
            self._consider(server_id, generation)
            for server_id, generation in self._violated.items()
            if self._is_found(server_id) and not self._claimed.get(server_id)
        ]
        return any(acted)

    def _consider(self, server_id: str, generation: int) -> bool:
        holds = self._policies.of(server_id)
        deadline = self._ledger.reaction(server_id)
        if deadline == DONE:
            return False
        if holds.policy.on_violation is not OnViolation.STOP:
            self._ledger.forget_reaction(server_id)
            return False
        if deadline is not None and (left := datetime.fromisoformat(deadline) - self._clock()) > timedelta(0):
            self._await(server_id, deadline, left, timedelta(seconds=holds.policy.grace))
            return False
        is_running = self._runs(server_id)
        if is_running is None:
            return False
        if deadline is None:
            return is_running and self._shut_down(server_id, generation, holds)
        self._ledger.keep_reaction(server_id, DONE)
        return is_running and self._do(server_id, generation, Action.DESTROY, holds)

    def _runs(self, server_id: str) -> bool | None:
        """Say whether a server runs; None where nobody knows, or the server is spared for now."""
        try:
            is_running = self._hypervisor.describe(server_id).live is not None
            return None if is_running and self._is_spared(server_id) else is_running
        except NotMeasured:
            return None

    def _is_spared(self, server_id: str) -> bool:
        """Say whether an action waits for the definition of a running server. Raises NotMeasured."""
        if self._hypervisor.is_persistent(server_id):
            self._undefined.pop(server_id, None)
            return False
        until = self._undefined.setdefault(server_id, self._clock()) + UNDEFINED_FOR
        left = until - self._clock()
        if left > timedelta(0):
            self._wake_for(server_id, until.isoformat(), left)
        return left > timedelta(0)

    def _shut_down(self, server_id: str, generation: int, holds: Standing) -> bool:
        until = self._clock() + timedelta(seconds=holds.policy.grace)
        self._ledger.keep_reaction(server_id, until.isoformat())
        self._wake_for(server_id, until.isoformat(), until - self._clock())
        return self._do(server_id, generation, Action.SHUTDOWN, holds)

    def _await(self, server_id: str, deadline: str, left: timedelta, grace: timedelta) -> None:
        """Wait until the deadline, but no longer than the grace: the clock may have been set back."""
        if left > grace:
            deadline, left = (self._clock() + grace).isoformat(), grace
            self._ledger.keep_reaction(server_id, deadline)
        self._wake_for(server_id, deadline, left)

    def _wake_for(self, server_id: str, deadline: str, left: timedelta) -> None:
        if self._woken.get(server_id) != deadline:
            self._woken[server_id] = deadline
            self._wake(max(0.0, left.total_seconds()))

    def _do(self, server_id: str, generation: int, action: Action, holds: Standing) -> bool:
        log.warning("%s is in violation: %s", server_id, action)
        reason = None
        try:
            self._pool.submit(self._act, server_id, action).result(PATIENCE)
        except ActionFailed as failed:
            reason = str(failed)
        except futures.TimeoutError:
            reason = "libvirt does not answer"
        report = {
            "kind": "reaction",
            "id": os.urandom(16).hex(),
            "server_id": server_id,
            "generation": generation,
            "action": action.value,
            "outcome": (Outcome.DONE if reason is None else Outcome.FAILED).value,
            "reason": reason,
            "policy_position": holds.set_by,
            "taken_at": self._clock().isoformat(),
        }
        spool.leave(str(self._ledger.folder), report)
        return True
