"""The feed: every event of the log as a CloudEvent, in pages of JSON or as a stream of server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html. The id of each event is its position in the
log, so a client that reconnects with Last-Event-ID misses none and gets none twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.events.base import Recorded
from sealward.events.wire import cloudevent
from sealward.events.wire.codec import EVENTS
from sealward.http.auth.access import PROOF, Rule
from sealward.http.log.filter import CLOCKS, Filter
from sealward.http.operation.answer import Position, Time, Uuid, answer
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import NODE_ID, Query, choices, line, number, server, time, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import falcon

    from sealward.http.services import Services

PAGE: Final = 100
MAX_PAGE: Final = 1000
LIST_EVENTS: Final = Rule("event:list", "Read the log, as pages or as a stream.", PROOF)
MAX_LOOKED_AT: Final = 20_000
"""Entries of the log that are read for a page, at most.

A filter that matches few events gives short pages; `next` goes on after them.
"""
KEEP_ALIVE: Final = 5.0
"""Seconds without an event after which a stream sends a comment, to show that it is alive."""
LOOK_UP: Final = 0.2
"""Seconds after which a stream without events checks whether its client has gone."""
CHECK: Final = 15.0
"""Seconds after which the token of a stream is checked again: it may have been revoked."""
MAX_UNSENT: Final = 256 * 1024
"""Bytes of a stream that the client has not read yet, at most; then the stream waits."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time that is accepted: no log is older."""

AFTER: Final = whole("after", "Only events beyond that position.")
SINCE: Final = time("since", "Only events of that time or later.")
LIMIT: Final = whole("limit", f"How many to show: {PAGE} when it is not given, at most {MAX_PAGE}.")
UNTIL: Final = time("until", "Only events of before that time.")
TYPE: Final = choices("type", tuple(EVENTS), "Only events of these topics, separated by commas.")
ACTOR: Final = line(
    "actor",
    "Only what that actor has caused: its kind (user, node), a colon, and its name; no name stands for all.",
)
NAME: Final = line(
    "name", "Only events about the server with that instance name, or the node with that hostname."
)
SERVER_ID: Final = server("server_id", "Only events about that server.")


class CloudEvent(msgspec.Struct, frozen=True):
    """An event as a CloudEvent 1.0; `dataschema` names the schema of `data`, which GET /v1/schema shows."""

    specversion: str
    id: Uuid
    source: str
    type: str
    subject: str
    time: Time
    datacontenttype: str
    dataschema: str
    sequence: str
    stream: Uuid
    streamversion: int
    data: dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """Events by ascending position; ask on with `after` = `next`. `head` is the log's last position.

    With `until`, `next` is `head` when no later event can match. `names` has the instance names of the
    servers that the events are about, as far as they are known.
    """

    events: list[CloudEvent]
    next: Position
    head: Position
    names: dict[Uuid, str]


class Rendered(msgspec.Struct, frozen=True):
    """A page whose events are rendered as CloudEvents already."""

    events: list[msgspec.Raw]
    next: int
    head: int
    names: dict[str, str]


class Events:
    """`/events`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/events",
                self.page,
                {200: Answer(Page, also="text/event-stream")},
                rule=LIST_EVENTS,
                query=(AFTER, SINCE, UNTIL, LIMIT, TYPE, ACTOR, NAME, SERVER_ID, NODE_ID),
                headers=("Last-Event-ID",),
                refuses={
                    400: ("parameter.bad-number",),
                    429: ("events.too-many-streams",),
                    503: ("events.too-many-streams",),
                },
            )
        ]

    def page(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give a page of the log, or a stream of events to a client that accepts text/event-stream."""
        query: Query = req.context.query
        wanted = self._wanted(query)
        last = number(req.get_header("Last-Event-ID") or "0", "Last-Event-ID")
        after = max(query.get(AFTER) or 0, self._before(wanted.since), last)
        if "text/event-stream" in (req.accept or "") and req.method != "HEAD":
            self._stream(req, resp, wanted, after)
            return
        limit = PAGE if (asked := query.get(LIMIT)) is None else asked
        found, position = self._collect(wanted, after, min(limit, MAX_PAGE))
        shown = [msgspec.Raw(cloudevent.render(one)) for one in found]
        names = self._names(found)
        answer(resp, Rendered(shown, position, self._services.store.head(), names))

    def _wanted(self, query: Query) -> Filter:
        """Return the filter of a request. The servers of a name are those that have it now."""
        name = query.get(NAME)
        servers: frozenset[str] = frozenset()
        if name is not None:
            with self._services.projections.reading() as tables:
                servers = frozenset(self._services.projections.servers.named(tables, name))
        return Filter(
            topics=query.get(TYPE),
            server_id=query.get(SERVER_ID),
            node_id=query.get(NODE_ID),
            since=query.get(SINCE),
            until=query.get(UNTIL),
            actor=query.get(ACTOR),
            name=name,
            servers=servers,
        )

    def _names(self, found: Iterable[Recorded]) -> dict[str, str]:
        """Return the instance names of the servers that events are about."""
        asked = (getattr(one.event, "server_id", None) for one in found)
        servers = {server_id for server_id in asked if server_id is not None}
        if not servers:
            return {}
        with self._services.projections.reading() as tables:
            return self._services.projections.servers.names(tables, servers)

    def _before(self, since: datetime | None) -> int:
        """Return a position before all events of that time or later, even if the writers' clocks differ."""
        if since is None or since < EARLIEST:
            return 0
        return self._services.store.position_at(since - CLOCKS)

    def _collect(self, wanted: Filter, after: int, limit: int) -> tuple[list[Recorded], int]:
        """Return up to `limit` wanted events beyond `after`, and the position up to which the log was read.

        An entry that cannot be read is skipped; `sealward events set-aside list` shows it.
        """
        found: list[Recorded] = []
        position, looked_at = after, 0
        while len(found) < limit and looked_at < MAX_LOOKED_AT:
            batch = self._services.store.entries(position)
            if not batch:
                break
            for one in batch:
                if isinstance(one, Recorded) and wanted.is_over(one):
                    return found, self._services.store.head()
                position = one.position
                if isinstance(one, Recorded) and wanted.wants(one):
                    found.append(one)
                    if len(found) == limit:
                        break
            looked_at += len(batch)
        return found, position

    def _stream(self, req: falcon.Request, resp: falcon.Response, wanted: Filter, position: int) -> None:
        give_back = self._services.limits.take("streams", req)
        resp.content_type = "text/event-stream"
        resp.cache_control = ["no-store"]
        unsent: Callable[[], int] = req.env.get("sealward.unsent", int)
        resp.stream = _Stream(self._sent(wanted, position, self._wanted_by(req), unsent), give_back)

    def _wanted_by(self, req: falcon.Request) -> Callable[[], bool]:
        """Return the function that says whether a client is still connected and its token still valid."""
        gone: Callable[[], bool] = req.env.get("waitress.client_disconnected", lambda: False)
        checked = monotonic()

        def still() -> bool:
            nonlocal checked
            if gone():
                return False
            if monotonic() - checked < CHECK:
                return True
            checked = monotonic()
            return self._may(req)

        return still

    def _may(self, req: falcon.Request) -> bool:
        try:
            identity = self._services.identify.who(req)
        except Problem:
            return False
        return identity is not None and self._services.access_rules.may(identity, LIST_EVENTS)

    def _sent(
        self, wanted: Filter, position: int, still: Callable[[], bool], unsent: Callable[[], int]
    ) -> Iterator[bytes]:
        """Send the events of the log and then new events, until the client leaves or the process ends.

        It ends, too, when the client's token is no longer valid. While the client does not read, the log is
        not read either. Entries that cannot be read are skipped.
        """
        yield b": the feed of Sealward\n\n"
        silent = 0.0
        while still() and not self._services.closing.is_set():
            if unsent() > MAX_UNSENT:
                self._services.closing.wait(LOOK_UP)
                continue
            batch = self._services.store.entries(position)
            for one in batch:
                position = one.position
                if isinstance(one, Recorded) and wanted.wants(one):
                    yield _message(one)
            if not batch and not self._services.store.wait_beyond(position, LOOK_UP):
                silent += LOOK_UP
            if silent >= KEEP_ALIVE:
                silent = 0.0
                yield b": still here\n\n"


class _Stream:
    """An iterable that gives its share of a limit back when the server has finished with it."""

    def __init__(self, chunks: Iterator[bytes], give_back: Callable[[], None]) -> None:
        self._chunks = chunks
        self.close = give_back

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def _message(one: Recorded) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        one.position,
        (cloudevent.TYPE_PREFIX + one.event.topic).encode(),
        cloudevent.render(one),
    )
