"""`openstack sign list|upgrade accept|show|create|set|delete|validate|move|verdict|history|envelope show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osc_lib import exceptions
from osc_lib.command import command

from sealward.client import RequestRefused
from sealward.osc.command import Lines, Sealward, listed, shown

if TYPE_CHECKING:
    import argparse

COLUMNS: Final = ("id", "server_id", "instance_name", "node_id", "is_valid", "created_at", "updated_at")
HISTORY: Final = ("position", "time", "type", "actor", "task_id")
LONG_HISTORY: Final = (*HISTORY, "request_id", "origin", "node_id", "data")
AT: Final = "as it was known at that time, as 2026-01-02T03:04:05Z"
PATIENCE: Final = 60.0
"""Seconds that --wait waits for a node by default."""


class ListSign(Sealward, command.Lister):
    """List the signs: the servers under integrity control, and whether they are as they were signed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--is-valid", choices=("true", "false", "unknown"), help="with this verdict alone"
        )
        parser.add_argument("--node", type=int, metavar="<id>", help="on this node alone")
        parser.add_argument("--at", metavar="<time>", help=AT)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/sign."""
        wanted = {"is_valid": parsed_args.is_valid, "node_id": parsed_args.node, "at": parsed_args.at}
        return listed(COLUMNS, self.sealward.list_signs(**wanted))


class AcceptUpgrade(Sealward, command.Lister):
    """Sign anew all servers that a libvirt upgrade has left in doubt, if nothing else has changed in them."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--node", type=int, metavar="<id>", help="on this node alone")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/sign/in-doubt, once for each few hundred servers."""
        return listed(("server_id", "task_id"), self.sealward.update_in_doubt(parsed_args.node))


class OneSign(Sealward):
    """A command about the sign of one server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the server."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="the server's ID, as Nova has it")
        return parser


class ShowSign(OneSign, command.ShowOne):
    """Show the sign of a server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the time."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--at", metavar="<time>", help=AT)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/sign/{server_id}."""
        return shown(self.sealward.show_sign(parsed_args.server, at=parsed_args.at))


class CreateSign(OneSign, command.ShowOne):
    """Sign a server: its present state becomes its reference."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the node."""
        parser = super().get_parser(prog_name)
        help_text = "the node that it is on; needed where several nodes report it"
        parser.add_argument("--node", type=int, metavar="<id>", help=help_text)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/sign."""
        return shown(self.sealward.create_sign(parsed_args.server, node_id=parsed_args.node))


class SetSign(OneSign, command.ShowOne):
    """Sign a server anew: its present state becomes the new reference. Look at its verdict first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the condition and the node."""
        parser = super().get_parser(prog_name)
        node = "the node that it is on; needed after the sign has moved without an administrator's order"
        parser.add_argument("--node", type=int, metavar="<id>", help=node)
        help_text = "only if the sign has not changed since `sign show` or `sign verdict` showed this etag"
        parser.add_argument("--if-match", metavar="<etag>", help=help_text)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call PUT /v1/sign."""
        asked = {"if_match": parsed_args.if_match, "node_id": parsed_args.node}
        return shown(self.sealward.update_sign(parsed_args.server, **asked))


class DeleteSign(Sealward):
    """Take servers off control. Their history stays."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the servers."""
        parser = super().get_parser(prog_name)
        parser.add_argument("servers", nargs="+", metavar="<server>", help="the servers' IDs")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Call DELETE /v1/sign/{server_id} for each; say at the end how many failed."""
        failed = 0
        for server in parsed_args.servers:
            try:
                self.sealward.delete_sign(server)
            except RequestRefused as refused:
                failed += 1
                print(f"{server}: {refused}", file=self.app.stderr)
        if failed:
            raise exceptions.CommandError(f"{failed} of {len(parsed_args.servers)} signs were not deleted.")


class ValidateSign(OneSign, command.ShowOne):
    """Have a server measured and compared now."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the wait."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--wait", action="store_true", help="wait for the node, and show its answer")
        parser.add_argument("--timeout", type=float, default=PATIENCE, metavar="<seconds>", help="of --wait")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/sign/{server_id}/validate."""
        task_id = self.sealward.validate_sign(parsed_args.server)
        timeout = parsed_args.timeout if parsed_args.wait else 0
        return shown(self.sealward.wait_for_task(task_id, timeout))


class MoveSign(OneSign, command.ShowOne):
    """Move a sign to a node that reports the server. The sign's node must be lost, or not run the server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("node", type=int, metavar="<node>", help="the ID of the node to move it to")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/sign/{server_id}/move."""
        return shown(self.sealward.move_sign(parsed_args.server, parsed_args.node))


class ShowVerdict(OneSign, command.ShowOne):
    """Show whether a server is as it was signed, and the differences."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the time."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--at", metavar="<time>", help=AT)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/sign/{server_id}/verdict."""
        verdict = self.sealward.show_verdict(parsed_args.server, at=parsed_args.at)
        names, values = shown(verdict)
        special = {"reasons": Lines(verdict["reasons"]), "findings": Findings(verdict["findings"])}
        return names, tuple(special.get(name, value) for name, value in zip(names, values, strict=True))


class Findings(Lines):
    """Findings: the class, the code and the sentence of each."""

    def human_readable(self) -> str:
        """Return a line for each finding."""
        return "\n".join(f"{one['class']} {one['code']}: {one['message']}" for one in self._value)


class ShowEnvelope(OneSign, command.ShowOne):
    """Show the reference in force; -f json prints the envelope, for `sealward verify` and in-toto tools."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the time."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--at", metavar="<time>", help=AT)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/sign/{server_id}/envelope."""
        return shown(self.sealward.show_envelope(parsed_args.server, at=parsed_args.at))


class ListHistory(OneSign, command.Lister):
    """List the events about a server with their actors and times, also after its sign was deleted."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the width."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--long", action="store_true", help="all that is known of each event")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/sign/{server_id}/events."""
        names = LONG_HISTORY if parsed_args.long else HISTORY
        return listed(names, self.sealward.list_history(parsed_args.server))
