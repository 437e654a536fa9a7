"""`openstack sign server list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osc_lib.command import command

from sealward.osc.command import Sealward, listed

if TYPE_CHECKING:
    import argparse

SERVERS: Final = ("server_id", "instance_name", "node_id", "signed")


class ListServer(Sealward, command.Lister):
    """List the servers that nodes report, signed or not."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--signed", action="store_true", default=None, help="signed ones alone")
        either.add_argument("--unsigned", dest="signed", action="store_false", help="those not under control")
        parser.add_argument("--node", type=int, metavar="<id>", help="on this node alone")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/server."""
        found = self.sealward.list_servers(signed=parsed_args.signed, node_id=parsed_args.node)
        return listed(SERVERS, found)
