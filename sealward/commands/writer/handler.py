"""The one writer: load streams, decide, append; again when another writer was first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sealward import logs
from sealward.commands import enforcement, membership
from sealward.commands import messages as ask
from sealward.commands import node as nodes
from sealward.commands import sign as signs
from sealward.commands.errors import Rejected
from sealward.commands.moves import moving
from sealward.commands.writer.batch import Batch
from sealward.commands.writer.memory import Memory
from sealward.commands.writer.unreadable import Unreadables
from sealward.events.set_aside import only_said
from sealward.events.signing import envelope as envelopes
from sealward.events.store.store import VersionConflict
from sealward.events.values import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.base import Event
    from sealward.events.set_aside import SetAside
    from sealward.events.signing.envelope import Envelope
    from sealward.events.store.store import EventStore

ATTEMPTS: Final = 20
Done = TypeVar("Done")


class TooMuchContention(Rejected):
    """Other writers were first too often: try again in a moment."""

    code = "store.contention"


class Handler:
    """Handles commands; safe for many threads and beside other processes.

    `set_aside` is called for each event that makes its stream unreadable.
    """

    def __init__(
        self,
        store: EventStore,
        authority: Ed25519PrivateKey | None,
        *,
        clock: Callable[[], datetime],
        fresh_for: timedelta,
        set_aside: SetAside = only_said,
    ) -> None:
        self._store = store
        self._authority = authority
        self._clock = clock
        self._fresh_for = fresh_for
        self._memory = Memory()
        self._unreadables = Unreadables(store, set_aside)

    def handle(self, command: ask.Command) -> int:
        """Carry out a command and return the position up to which it can be read back.

        Raises Rejected: then nothing was written.
        """
        ids = {"request_id": command.request_id, "task_id": command.task_id}
        with logs.about(actor=command.actor, **ids):
            position, _ = self.together(lambda batch: batch.handle(command))
        return position

    def together(self, work: Callable[[Batch], Done]) -> tuple[int, Done]:
        """Append what `work` decides, in one transaction; return the position, and what it returned.

        When another writer was first, `work` is called again, with a new batch; also when the log cannot
        carry an event: then with a batch that refuses the command which leads to it.
        Raises TooMuchContention, and what `work` raises: then nothing was written.
        """
        is_careful = False
        for _ in range(ATTEMPTS):
            batch = Batch(self._store, self._decide, self._memory, is_careful=is_careful)
            try:
                done = work(batch)
                return batch.append(), done
            except VersionConflict:
                continue
            except Unfit:
                is_careful = True
            finally:
                self._unreadables.note(batch.unreadable)
        raise TooMuchContention

    def _decide(self, state: Any, command: ask.Command) -> list[Event]:  # noqa: ANN401 - of any stream
        match command:
            case ask.SignCommand():
                return self._sign(state, command)
            case ask.RegisterNode() | ask.NodeCommand():
                return self._node(state, command)
        raise TypeError(command)

    def _sign(  # noqa: PLR0911 - one return a command
        self, sign: signs.Sign | None, command: ask.SignCommand
    ) -> list[Event]:
        now = self._clock()
        match command:
            case ask.CreateSign():
                sign_id = self._store.next_id("sign") if sign is None else 0
                return signs.create_sign(sign, command, sign_id=sign_id, now=now)
            case ask.UpdateSign():
                return signs.update_sign(sign, command, now=now)
            case ask.RequestValidation():
                return signs.request_validation(sign, command, now=now)
            case ask.SetServerPolicy():
                return signs.set_policy(sign, command, now=now)
            case ask.PlaceCommand():
                return moving.decide(sign, command, now=now)
            case ask.RevokeSign():
                return signs.revoke_sign(sign, command, now=now)
            case ask.RecordFailure():
                return signs.record_failure(sign, command, now=now)
            case ask.RecordMeasurement():
                return signs.record_measurement(
                    sign,
                    command,
                    countersign=lambda: self._countersign(command),
                    now=now,
                    fresh_until=command.statement.measured_at + self._fresh_for,
                )
        raise TypeError(command)

    def _countersign(self, command: ask.RecordMeasurement) -> Envelope:
        if self._authority is None:
            raise TypeError("a process without the authority's key seals nothing")
        if not command.is_signed:
            envelopes.verify(command.envelope, [command.key])
        return envelopes.sign(command.envelope, self._authority)

    def _node(  # noqa: C901, PLR0911 - one return a command
        self, node: nodes.Node | None, command: ask.RegisterNode | ask.NodeCommand
    ) -> list[Event]:
        now = self._clock()
        match command:
            case ask.RegisterNode():
                is_new = node is None and not command.only_invited
                node_id = self._store.next_id("node") if is_new else 0
                return nodes.register_node(node, command, node_id=node_id, now=now)
            case ask.MembershipCommand():
                is_new = isinstance(command, ask.AdmitNode | ask.InviteNode) and (
                    node is None or node.removed
                )
                node_id = self._store.next_id("node") if is_new else 0
                return membership.decide(node, command, node_id=node_id, now=now)
            case ask.ActivateNode():
                return nodes.activate_node(node, command, now=now)
            case ask.DeactivateNode():
                return nodes.deactivate_node(node, command, now=now)
            case ask.SetNodePolicy():
                return nodes.set_policy(node, command, now=now)
            case ask.LoseNode():
                return nodes.lose_node(node, command, now=now)
            case ask.RecordInventory():
                return nodes.record_inventory(node, command, now=now)
            case ask.RecordFirmware():
                return nodes.record_firmware(node, command, now=now)
            case ask.AcceptFirmware():
                return nodes.accept_firmware(node, command, now=now)
            case ask.EnforcementCommand():
                return enforcement.record(node, command, now=now)
            case ask.RefuseReport():
                return nodes.refuse_report(node, command, now=now)
            case ask.RecordSweep():
                fresh_until = command.started_at + self._fresh_for
                return nodes.record_sweep(node, command, now=now, fresh_until=fresh_until)
        raise TypeError(command)
