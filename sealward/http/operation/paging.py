"""How lists are cut into pages: `limit` and a marker in the query, a link to the next page in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from sealward.http.operation.parameter import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import falcon

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Paging:
    """The page of a list that one request asks for.

    A link begins with `public_url`, or is relative where that is empty.
    """

    req: falcon.Request
    resp: falcon.Response
    public_url: str

    @property
    def to_read(self) -> int | None:
        """Return how many rows are to be read: a page and one further row, or None for the whole list."""
        limit: int | None = self.req.context.query.get(LIMIT)
        return None if limit is None else limit + 1

    def page(self, rows: Sequence[Row], **marker: Callable[[Row], object]) -> Sequence[Row]:
        """Return the rows of the page. Where more rows were read, add a link to the next page.

        `marker` is the name of the parameter that marks where the next page begins, and what its value is for
        the last row of this page.
        """
        page = rows[: self.req.context.query.get(LIMIT)]
        if len(page) < len(rows) and page:
            self._link(**{name: value(page[-1]) for name, value in marker.items()})
        return page

    def _link(self, **values: object) -> None:
        """Add a Link header to the next page (RFC 8288): this request's URL with other `values` in its query.

        The client's Host header is not used. A client that can set this header for another client's request,
        for example through a cache, would choose the target of that client's link. The body does not change:
        lists have the form of the seed.
        """
        asked = self.req.params.items()
        query = {name.removeprefix("$"): value for name, value in asked if name.strip("$")}
        query.pop("offset", None)
        self.resp.append_link(f"{self.public_url}{self.req.path}?{urlencode(query | values)}", "next")
