"""`openstack sign event list`: a page of the log, or the log as it grows."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from keystoneauth1.exceptions import ClientException
from osc_lib.command import command

from sealward.client import RequestRefused, StreamBroken
from sealward.osc.command import Sealward, listed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

COLUMNS: Final = ("position", "time", "type", "subject", "actor")
LONG: Final = (*COLUMNS, "data")
PAGE: Final = 100
PAUSE: Final = 2.0
"""Seconds until the next attempt when the API is away or has too many streams."""
UNAVAILABLE: Final = 503


class ListEvent(Sealward, command.Lister):
    """List events of the log; with --follow also new ones, a line each, until Ctrl-C."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the position and the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--after", type=int, default=0, metavar="<position>", help="beyond a position")
        parser.add_argument(
            "--limit", type=int, default=PAGE, metavar="<n>", help=f"at most (default {PAGE})"
        )
        parser.add_argument("--type", metavar="<topic>", help="of this kind alone, as sign.validated")
        parser.add_argument("--server", metavar="<server>", help="about this server alone")
        parser.add_argument("--node", type=int, metavar="<id>", help="about this node alone")
        parser.add_argument("--long", action="store_true", help="with what each event holds")
        parser.add_argument(
            "--follow", action="store_true", help="go on with what comes; -f json prints a CloudEvent a line"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/events."""
        wanted = {
            "type": parsed_args.type,
            "server_id": parsed_args.server,
            "node_id": parsed_args.node,
        }
        if parsed_args.follow:
            return COLUMNS, self._followed(parsed_args.after, wanted)
        page = self.sealward.list_events(after=parsed_args.after, limit=parsed_args.limit, **wanted)
        return listed(LONG if parsed_args.long else COLUMNS, map(_flat, page["events"]))

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


def _flat(event: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a CloudEvent."""
    return {
        "position": int(event["sequence"]),
        "time": event["time"],
        "type": event["type"].removeprefix("io.sealward."),
        "subject": event["subject"],
        "actor": event["data"]["actor"],
        "data": event["data"],
    }
