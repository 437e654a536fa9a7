"""The ids of a request: its own, and the one that a client gave to all that belongs together."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import falcon

HEADER: Final = "X-Openstack-Request-Id"
GLOBAL: Final = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What a client may send; anything else is not taken over."""


_RANDOM: Final = random.Random()  # noqa: S311 - seeded by the system; an id is no secret


def new_request_id() -> str:
    """Return an id that no other request has: `req-` and a UUID (version 4).

    Not by `uuid.uuid4`: whenever it asks the system, Python goes on with another thread.
    """
    digits = f"{_RANDOM.getrandbits(128):032x}"
    return f"req-{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def name(req: falcon.Request, resp: falcon.Response) -> str:
    """Return the request's id, which it gets when it has none; a client's `req-UUID` is its global id."""
    if "request_id" not in req.context:
        req.context.request_id = new_request_id()
        sent = req.get_header(HEADER)
        req.context.global_request_id = sent.lower() if sent and GLOBAL.fullmatch(sent) else None
        resp.set_header(HEADER, req.context.request_id)
    return str(req.context.request_id)


class RequestId:
    """Gives every request an id of its own, before anything else looks at it."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name the request."""
        name(req, resp)
