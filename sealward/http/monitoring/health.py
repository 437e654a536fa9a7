"""Health: yes or no for load balancers, details for users with a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from sealward.events.version import own
from sealward.http.auth.access import PROOF, Rule
from sealward.http.operation.answer import Date, answer, date
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import Query, flag

if TYPE_CHECKING:
    import falcon

    from sealward.control.monitoring import Lag
    from sealward.http.services import Services

MOST: Final = 100
"""Events set aside that are shown, at most."""
DETAILED: Final = flag(
    "detailed",
    "Name the parts that lag and the nodes that are silent; needs a token.",
    Rule("health:detailed", "See in detail how the service is.", PROOF),
)


class Health(msgspec.Struct, frozen=True):
    """Whether requests can be answered. Only a detailed answer has the fields after `status`."""

    status: Literal["ok", "not ok"]
    version: str | msgspec.UnsetType = msgspec.UNSET
    """The version of this API process."""
    problems: list[str] | msgspec.UnsetType = msgspec.UNSET
    """projections.lagging, relay.stuck, events.set-aside, node.silent, log.behind, log.inconsistent"""
    head: int | msgspec.UnsetType = msgspec.UNSET
    projections: Behind | msgspec.UnsetType = msgspec.UNSET
    relay: Behind | msgspec.UnsetType | None = msgspec.UNSET
    silent: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Hostnames of nodes that were not heard within their lease. No node vouches for their servers."""
    quiet: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Hostnames of nodes of which three heartbeats were missed, including the silent nodes."""
    expected: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Hostnames of nodes that were let in and have not come yet."""
    verdicts: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    oldest: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    """Verdict → seconds since the oldest check of a server with this verdict."""
    tasks: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    set_aside: list[SetAside] | msgspec.UnsetType = msgspec.UNSET
    """The first events that projections or relay could not take; `sealward events set-aside list` has all."""
    unproven: list[Unproven] | msgspec.UnsetType = msgspec.UNSET
    """Dropped messages to the control plane that have no proven sender, the last counted first."""


class Unproven(msgspec.Struct, frozen=True):
    """The dropped messages of a user of the broker, for one reason: their number, and the time of the last.

    `user` is empty where the message named none. The content of the messages is not kept.
    """

    user: str
    reason: str
    messages: int
    last_at: Date


class SetAside(msgspec.Struct, frozen=True):
    """An event that a part of the control plane could not take, and set aside to go on."""

    position: int
    part: str
    topic: str
    reason: str
    at: Date


class Behind(msgspec.Struct, frozen=True):
    """How far something is behind the log, and how old the next event is that waits for it."""

    position: int
    events: int
    seconds: float


class Healthcheck:
    """`/healthcheck/live`: the process answers; `/healthcheck`, `/healthcheck/ready`: so does the store."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        well = {200: Answer(Health)}
        away = {503: ("store.unavailable",)}
        return [
            Operation(
                "GET",
                "/healthcheck",
                self.show,
                well,
                query=(DETAILED,),
                refuses=away,
                bare=True,
            ),
            Operation("GET", "/healthcheck/ready", self.ready, well, refuses=away, bare=True),
            Operation("GET", "/healthcheck/live", self.live, well, bare=True),
        ]

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say whether requests can be answered; in detail, which parts lag and which nodes are silent."""
        query: Query = req.context.query
        if query.get(DETAILED) is None:
            self.ready(req, resp)
        else:
            answer(resp, self._detailed())

    def ready(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say whether requests can be answered: the store does; 503 when it does not."""
        del req
        self._services.projections.position_now()
        answer(resp, Health("ok"))

    def live(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say that the process is running, also when it cannot reach the store."""
        del req
        answer(resp, Health("ok"))

    def _detailed(self) -> Health:
        found = self._services.monitor.status()
        return Health(
            "not ok" if found.problems else "ok",
            own(),
            found.problems,
            found.head,
            _behind(found.projections),
            None if found.relay is None else _behind(found.relay),
            [node.hostname for node in found.nodes if node.silent],
            [node.hostname for node in found.nodes if node.quiet],
            [node.hostname for node in found.nodes if node.expected],
            {name: one.signs for name, one in found.verdicts.items()},
            {name: round(seconds, 3) for name, seconds in found.oldest.items()},
            {state.value: number for state, number in found.tasks.items()},
            [
                SetAside(one.position, one.part, one.topic, one.reason, date(one.at))
                for one in found.set_aside[:MOST]
            ],
            [Unproven(one.sender, one.reason, one.messages, date(one.last_at)) for one in found.unproven],
        )


def _behind(lag: Lag) -> Behind:
    return Behind(lag.position, lag.events, round(lag.seconds, 3))
