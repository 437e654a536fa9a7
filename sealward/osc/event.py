"""`openstack sign event list`: a page of the log, or the log as it grows."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from keystoneauth1.exceptions import ClientException
from osc_lib.command import command

from sealward.client import RequestRefused, StreamBroken
from sealward.osc.command import Sealward, listed
from sealward.osc.moment import FORMS, moment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

COLUMNS: Final = ("position", "time", "type", "subject", "name", "actor")
LONG: Final = (*COLUMNS, "data")
PAGE: Final = 100
PAUSE: Final = 2.0
"""Seconds until the next attempt when the API is away or has too many streams."""
UNAVAILABLE: Final = 503


class ListEvent(Sealward, command.Lister):
    """List events of the log; with --follow also new events, a line each, until Ctrl-C."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the position and the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--after", type=int, default=0, metavar="<position>", help="beyond a position")
        parser.add_argument(
            "--limit", type=int, default=PAGE, metavar="<n>", help=f"at most (default {PAGE})"
        )
        parser.add_argument("--since", type=moment, metavar="<time>", help=f"of that time or later: {FORMS}")
        parser.add_argument("--until", type=moment, metavar="<time>", help="of before that time")
        parser.add_argument(
            "--type",
            action="append",
            metavar="<topic>",
            help="of this kind alone, as sign.validated; repeat it for several kinds",
        )
        parser.add_argument(
            "--actor", metavar="<actor>", help="caused by this actor alone, as user:admin; user: is all users"
        )
        parser.add_argument(
            "--name",
            metavar="<name>",
            help="about the server or node of this name",
        )
        parser.add_argument("--server", metavar="<server>", help="about this server alone")
        parser.add_argument("--node", type=int, metavar="<id>", help="about this node alone")
        parser.add_argument("--long", action="store_true", help="with what each event holds")
        parser.add_argument(
            "--follow", action="store_true", help="go on with new events; -f json prints a CloudEvent a line"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/events."""
        wanted = {
            "type": ",".join(parsed_args.type) if parsed_args.type else None,
            "actor": parsed_args.actor,
            "name": parsed_args.name,
            "server_id": parsed_args.server,
            "node_id": parsed_args.node,
            "since": parsed_args.since,
            "until": parsed_args.until,
        }
        if parsed_args.follow:
            return COLUMNS, self._followed(parsed_args.after, wanted)
        found = self._listed(parsed_args.after, parsed_args.limit, wanted)
        return listed(LONG if parsed_args.long else COLUMNS, found)

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> int:  # noqa: ANN401 - cliff's own types
        """Print each event at once when following; a table would wait for the end."""
        if not parsed_args.follow:
            return int(super().produce_output(parsed_args, column_names, data))
        for event in data:
            flat = _flat(event)
            line = "  ".join(str(flat[name]) for name in COLUMNS)
            print(
                json.dumps(event) if parsed_args.formatter == "json" else line,
                file=self.app.stdout,
                flush=True,
            )
        return 0

    def _listed(self, after: int, limit: int, wanted: dict[str, str | int | None]) -> list[dict[str, Any]]:
        """Return the events, and ask on while pages are short because few events match."""
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            page = self.sealward.list_events(after=after, limit=limit - len(found), **wanted)
            found += [_flat(event, page["names"]) for event in page["events"]]
            after = page["next"]
            if after >= page["head"]:
                return found
        self.log.warning("perhaps there are more events: --after %d goes on, --limit shows more", after)
        return found

    def _followed(self, after: int, wanted: dict[str, str | int | None]) -> Iterator[dict[str, Any]]:
        """Yield the events, and connect again when the connection breaks."""
        while True:
            try:
                for event in self.sealward.follow_events(after=after, **wanted):
                    after = int(event["sequence"])
                    yield event
            except (StreamBroken, ClientException) as broken:
                self.log.warning("%s; again in %s s", broken, PAUSE)
            except RequestRefused as refused:
                if refused.status != UNAVAILABLE:
                    raise
                self.log.warning("%s; again in %s s", refused, PAUSE)
            time.sleep(PAUSE)


def _flat(event: dict[str, Any], names: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the columns of a CloudEvent. Its name is that of the server, or of the node's host."""
    data = event["data"]
    name = data.get("instance_name") or (names or {}).get(data.get("server_id", "")) or data.get("hostname")
    return {
        "position": int(event["sequence"]),
        "time": event["time"],
        "type": event["type"].removeprefix("io.sealward."),
        "subject": event["subject"],
        "name": name,
        "actor": event["data"]["actor"],
        "data": event["data"],
    }
