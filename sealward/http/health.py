"""Whether the service is well: for load balancers, which have no token and learn no more than yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sealward.http.answer import answer
from sealward.http.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon

    from sealward.http.door import Door


class Health(msgspec.Struct, frozen=True):
    """Well enough to be asked."""

    status: Literal["ok"]


class Healthcheck:
    """`/healthcheck/live`: the process answers; `/healthcheck`, `/healthcheck/ready`: so does the store."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return the calls."""
        well = {200: Answer(Health)}
        away = {503: ("store.unavailable",)}
        return [
            Operation("GET", "/healthcheck", self.ready, well, refuses=away, public=True, bare=True),
            Operation("GET", "/healthcheck/ready", self.ready, well, refuses=away, public=True, bare=True),
            Operation("GET", "/healthcheck/live", self.live, well, public=True, bare=True),
        ]

    def ready(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say whether requests can be answered: the store does; 503 when it does not."""
        del req
        self._door.projections.position_now()
        answer(resp, Health("ok"))

    def live(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say that the process is there, whatever it can reach."""
        del req
        answer(resp, Health("ok"))
