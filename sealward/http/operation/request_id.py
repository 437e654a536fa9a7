"""The ids of a request: its own, and the global id that a client gives to requests that belong together."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import falcon

HEADER: Final = "X-Openstack-Request-Id"
GLOBAL: Final = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The form of a global request id. Anything else that a client sends is ignored."""


_RANDOM: Final = random.Random()  # noqa: S311 - seeded by the system; an id is no secret


def new_request_id() -> str:
    """Return a unique request id: `req-` and a UUID (version 4).

    `uuid.uuid4` is not used, because its system call makes Python switch to another thread.
    """
    digits = f"{_RANDOM.getrandbits(128):032x}"
    return f"req-{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def name(req: falcon.Request, resp: falcon.Response) -> str:
    """Return the request's id, and make it first where there is none.

    A `req-UUID` that the client sends becomes the global id of the request.
    """
    if "request_id" not in req.context:
        req.context.request_id = new_request_id()
        sent = req.get_header(HEADER)
        req.context.global_request_id = sent.lower() if sent and GLOBAL.fullmatch(sent) else None
        resp.set_header(HEADER, req.context.request_id)
    return str(req.context.request_id)


class RequestId:
    """Gives every request an id, before anything else handles the request."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give the request its id."""
        name(req, resp)
