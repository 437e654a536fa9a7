"""Links that answers hold: absolute, as clients reach the API, whatever stands before it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    import falcon


class PublicUrl:
    """Remembers where clients reach the API; without a setting that is where the request came to."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say so to whoever makes links."""
        del resp
        req.context.public_url = self._url or req.prefix


def absolute(req: falcon.Request, path: str) -> str:
    """Return the URL of a path, as clients reach it."""
    return f"{req.context.public_url}{path}"


def link_next(req: falcon.Request, resp: falcon.Response, **values: object) -> None:
    """Name the next page in the Link header (RFC 8288): this one's query with other `values`.

    The body stays as it is: lists have the form that the seed prints.
    """
    query = {name.removeprefix("$"): value for name, value in req.params.items() if name.strip("$")}
    query.pop("offset", None)
    resp.append_link(f"{absolute(req, req.path)}?{urlencode(query | values)}", "next")
