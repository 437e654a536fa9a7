"""`sealward subscribe`: print events from any position on. `sealward schema`: print their JSON Schemas."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sealward.cli.log.outlet import Outlet

PAUSE: Final = 2.0
"""Seconds until a server that did not answer, or had too many streams, is asked again."""
SILENCE: Final = 30.0
"""Seconds without even a comment after which the connection counts as dead."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-commands."""
    subscribe = commands.add_parser(
        "subscribe",
        help="print events as they come, from any position of the log on",
        description="Print the events of the Sealward at --url from a position on, and then as they come, "
        "until Ctrl-C, one event a line. When the connection breaks, no event is left out or printed "
        "twice. SEALWARD_TOKEN (or SEALWARD_TOKEN_FILE) holds the API token. With --to the events are sent "
        "to a receiver of syslog instead (RFC 5424); with --keep a restart goes on after the last event.",
    )
    subscribe.add_argument(
        "--url",
        default=os.environ.get("SEALWARD_URL") or "http://127.0.0.1:9362",
        help="where an API process listens; default: SEALWARD_URL, or http://127.0.0.1:9362",
    )
    subscribe.add_argument(
        "--from",
        dest="start",
        default="now",
        metavar="first|now|POSITION|TIME",
        help="`first`, `now` (default), a position (events after it), or a time as 2026-01-02T03:04:05Z",
    )
    subscribe.add_argument("--type", metavar="TOPIC", help="only events of this topic, as sign.validated")
    subscribe.add_argument("--server", metavar="UUID", help="only events about this server")
    subscribe.add_argument("--node", metavar="ID", help="only events about this node")
    subscribe.add_argument("--count", type=int, metavar="N", help="end after N events")
    subscribe.add_argument(
        "--format",
        choices=("cloudevents", "ocsf", "cef", "cadf"),
        default="cloudevents",
        help="cloudevents (default), ocsf (OCSF 1.6), cef (ArcSight) or cadf (DMTF, as OpenStack's services)",
    )
    subscribe.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="keep the position of the last event in FILE; where FILE has a position, begin after it",
    )
    receiver = subscribe.add_argument_group("a receiver of syslog")
    receiver.add_argument(
        "--to", metavar="URL", help="syslog+tls://HOST:6514 (RFC 5425) or syslog+tcp://HOST:601"
    )
    receiver.add_argument(
        "--tls-ca", metavar="FILE", help="certificates that vouch for it; default: the system's"
    )
    receiver.add_argument(
        "--tls-cert", metavar="FILE", help="a certificate of this client, where it asks for that"
    )
    receiver.add_argument("--tls-key", metavar="FILE", help="the key of that certificate")
    subscribe.set_defaults(run=_subscribe)
    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of an event, or list the events",
        description="Print the JSON Schema of the CloudEvents of a topic; without a topic, list the topics.",
    )
    schema.add_argument("topic", nargs="?", help="as sign.validated")
    schema.set_defaults(run=_schema)


def _schema(args: argparse.Namespace) -> int:
    from sealward.events.wire import cloudevent
    from sealward.events.wire.codec import EVENTS

    if args.topic is None:
        print("\n".join(sorted(EVENTS)))
        return 0
    if args.topic not in EVENTS:
        raise Refusal(f"no event is called {args.topic!r}; `sealward schema` lists them")
    print(json.dumps(cloudevent.schema_of(args.topic), indent=2))
    return 0


def _subscribe(args: argparse.Namespace) -> int:
    from sealward.settings import SettingRefused, secret

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with refusing(SettingRefused):
        token = secret(os.environ, "SEALWARD_TOKEN")
    if token is None:
        raise Refusal("set SEALWARD_TOKEN, or SEALWARD_TOKEN_FILE; `sealward token issue` makes a token")
    feed = Feed(args.url, token, {"type": args.type, "server_id": args.server, "node_id": args.node})
    try:
        _pass_on(feed, args)
    except KeyboardInterrupt:
        print(f"up to position {feed.position}", file=sys.stderr)
    return 0


def _pass_on(feed: Feed, args: argparse.Namespace) -> None:
    """Pass events on until --count of them are. Raises Refusal."""
    from sealward.cli.log.position_file import PositionFile
    from sealward.formats import notice
    from sealward.formats.formats import CLOUDEVENTS, FORMATS

    outlet = _outlet(args)
    kept = None if args.keep is None else PositionFile(args.keep)
    begun = None if kept is None else kept.read()
    with contextlib.closing(outlet):
        for passed, event in enumerate(feed.events(args.start if begun is None else str(begun)), 1):
            read = notice.read(event)
            outlet.take(read, event if args.format == CLOUDEVENTS else FORMATS[args.format](read))
            if kept is not None:
                kept.write(feed.position)
            if passed == args.count:
                break


def _outlet(args: argparse.Namespace) -> Outlet:
    from sealward.cli.log.outlet import Printed, Sent
    from sealward.formats import syslog

    if args.to is None:
        return Printed()
    try:
        return Sent(syslog.receiver(args.to, args.tls_ca, args.tls_cert, args.tls_key))
    except (ValueError, OSError) as why:
        raise Refusal(f"--to {args.to}: {why}") from why


class Feed:
    """The server-sent events of a URL, across broken connections. `position` is that of the last event."""

    def __init__(self, url: str, token: str, wanted: dict[str, str | None]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Refusal("--url: as http://127.0.0.1:9362")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = parts.netloc
        self._path = parts.path.rstrip("/") + "/v1/events"
        self._token = token
        self._wanted = {name: value for name, value in wanted.items() if value is not None}
        self.position = 0

    def events(self, start: str) -> Iterator[str]:
        """Yield events without end. Raises Refusal when the server refuses the request."""
        query = dict(self._wanted)
        if start == "now":
            self.position = int(self._ask("?limit=0")["head"])
        elif start.isascii() and start.isdigit():
            self.position = int(start)
        elif start != "first":
            query["since"] = start
        path = f"{self._path}?{urlencode(query, quote_via=quote)}"
        while True:
            try:
                yield from self._stream(path)
            except (OSError, http.client.HTTPException) as broken:
                why = str(broken) or type(broken).__name__
                print(f"sealward: {self._host}: {why}; again in {PAUSE} s", file=sys.stderr)
                time.sleep(PAUSE)

    def _ask(self, query: str) -> dict[str, Any]:
        connection = self._kind(self._host, timeout=SILENCE)
        try:
            found: dict[str, Any] = json.load(self._answer(connection, self._path + query, {}))
            return found
        finally:
            connection.close()

    def _stream(self, path: str) -> Iterator[str]:
        """Yield the events of one connection."""
        connection = self._kind(self._host, timeout=SILENCE)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.position)}
        try:
            answer = self._answer(connection, path, headers)
            position = self.position
            for line in answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    position = int(value)
                elif name == "data":
                    self.position = position
                    yield value
        finally:
            connection.close()
        raise http.client.RemoteDisconnected("the server ended the stream")

    def _answer(
        self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection.request("GET", path, headers={"X-Auth-Token": self._token, **headers})
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise http.client.HTTPException("the server is away or has too many streams")
        if answer.status != http.HTTPStatus.OK:
            said = json.loads(answer.read() or b"{}").get("error", {}).get("message", answer.reason)
            raise Refusal(f"{answer.status}: {said}")
        return answer
