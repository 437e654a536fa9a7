"""What needs no token: which versions there are, and whether the service is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.http.answer import answer

if TYPE_CHECKING:
    import falcon

    from sealward.http.door import Door


class Versions:
    """`/`: version discovery as OpenStack clients know it."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the versions of the API."""
        link = {"rel": "self", "href": f"{req.prefix}/v1/"}
        answer(resp, {"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]})


class Healthcheck:
    """`/healthcheck`: 200 when the store answers; the error handlers make it 503 when it does not."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the projections where they are."""
        del req
        answer(resp, {"status": "ok", "position": self._door.projections.position_now()})
