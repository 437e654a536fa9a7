"""The limits of an API process: 429 where a client holds its whole share, 503 where all shares are taken.

Settings (`SEALWARD_LIMIT_…`) say how much each may hold; the totals are here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sealward.http.limits.allowance import Allowance, Exceeded, Guesses
from sealward.http.operation.access_log import client_of
from sealward.http.operation.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from sealward.http.auth.identity import Identity
    from sealward.http.listening.traffic import Traffic
    from sealward.settings import Limits as Settings

STREAMS: Final = 32
WRITES: Final = 64
PAST: Final = 8
AT_ONCE: Final = STREAMS + WRITES + PAST
"""Requests that may take long, at a time: each holds a thread."""
RETRY_AFTER: Final = 2
"""Seconds after which a client may try again."""

REASONS: Final = {"streams": "events.too-many-streams", "writes": "writes.too-many", "past": "past.busy"}
"""By limit the reason in an answer."""
WHAT: Final = {"streams": "streams", "writes": "writes", "past": "questions about the past"}


class Limits:
    """The limits of an API process."""

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self._traffic = traffic
        self._allowances = {
            "streams": Allowance(settings.streams, STREAMS),
            "writes": Allowance(settings.writes, WRITES),
            "past": Allowance(settings.past, PAST),
        }
        self._guesses = Guesses(settings.refused)

    def take(self, limit: str, req: falcon.Request) -> Callable[[], None]:
        """Take a share of a limit; return the function that gives the share back.

        Raises Problem 429, 503.
        """
        try:
            return self._allowances[limit].take(_token(req.context.identity), client_of(req).key)
        except Exceeded as exceeded:
            self._traffic.limit(limit)
            whose = f"Your {WHAT[limit]}" if exceeded.own else f"All {WHAT[limit]}"
            message = f"{whose} that can go on at a time do so already; try again in a moment."
            status = 429 if exceeded.own else 503
            raise Problem(status, REASONS[limit], message, {"Retry-After": str(RETRY_AFTER)}) from exceeded

    def may_ask(self, req: falcon.Request, secret: str) -> None:
        """Check that a token may be looked up.

        Raises Problem 429 when its address has sent too many wrong tokens.
        """
        seconds = self._guesses.seconds(client_of(req).key, secret)
        if seconds:
            self._traffic.limit("refused-tokens")
            message = "Too many wrong tokens came from your address; wait, and send a valid token."
            raise Problem(429, "auth.too-many-refused", message, {"Retry-After": str(math.ceil(seconds))})

    def refused(self, req: falcon.Request, secret: str) -> None:
        """Note a wrong token."""
        self._traffic.refuse_token()
        self._guesses.refused(client_of(req).key, secret)

    def accepted(self, req: falcon.Request, secret: str) -> None:
        """Note a good token."""
        self._guesses.accepted(client_of(req).key, secret)


class Bounded:
    """Counts each request that may take long for its token and address while it is answered.

    Streams count for as long as they are open; the stream itself ends the count.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Take the share that the request will hold. Raises Problem."""
        del resp, params
        limit = self._limit(req, resource)
        if limit is not None:
            req.context.give_back = self._limits.take(limit, req)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: object
    ) -> None:
        """Give the share back."""
        del resp, resource, succeeded
        give_back = req.context.get("give_back")
        if give_back is not None:
            give_back()

    def _limit(self, req: falcon.Request, resource: object) -> str | None:
        if req.context.get("identity") is None:
            return None
        if req.params and any(name.removeprefix("$") == "at" for name in req.params):
            return "past"
        changes = getattr(resource, "changes", None)
        return "writes" if changes is not None and changes(req.method) else None


def _token(identity: Identity) -> str:
    """Return the name under which a token counts.

    It is the user's name, because a user of Keystone can get any number of tokens.
    """
    user = identity.origin.user_id if identity.origin is not None else None
    return identity.name if user is None else f"id:{user}"
