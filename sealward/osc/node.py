"""`openstack sign node list|show|create|delete|activate|deactivate|firmware accept|key set`."""

from __future__ import annotations

import abc
import argparse
from typing import Any, Final

from osc_lib.command import command

from sealward.osc.command import Sealward, listed, shown
from sealward.osc.sign import PATIENCE

NODES: Final = (
    "id",
    "hostname",
    "active",
    "reachable",
    "expected",
    "last_seen",
    "swept_at",
    "version",
    "hypervisor",
    "outdated",
)


class ListNode(Sealward, command.Lister):
    """List the nodes: hosts with an agent."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filter."""
        parser = super().get_parser(prog_name)
        help_text = "those alone whose agents are of an earlier version than the API"
        parser.add_argument("--outdated", action="store_true", help=help_text)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/node."""
        return listed(NODES, self.sealward.list_nodes(outdated=parsed_args.outdated or None))


class OneNode(Sealward):
    """A command about one node."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("node", type=int, metavar="<node>", help="the node's ID")
        return parser


class ShowNode(OneNode, command.ShowOne):
    """Show a node."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/node/{node_id}."""
        return shown(self.sealward.show_node(parsed_args.node))


class AcceptFirmware(OneNode, command.ShowOne):
    """Accept the firmware files that a node found. Look at `sign node show` first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the digest."""
        parser = super().get_parser(prog_name)
        parser.add_argument("digest", metavar="<digest>", help="of the files that `sign node show` showed")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call PUT /v1/node/{node_id}/firmware."""
        return shown(self.sealward.accept_firmware(parsed_args.node, parsed_args.digest))


class CreateNode(Sealward, command.ShowOne):
    """Let a node in: before its agent registers, or again after it was deleted."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the hostname and the key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("hostname", metavar="<hostname>", help="as `hostname` prints it on the node")
        _add_key_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/node."""
        with parsed_args.key as file:
            return shown(self.sealward.create_node(parsed_args.hostname, file.read()))


class DeleteNode(OneNode, command.Command):
    """Remove a node that has no signs. Its agent is refused until the node is let in again."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Call DELETE /v1/node/{node_id}."""
        self.sealward.delete_node(parsed_args.node)


def _add_key_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key",
        metavar="<file>",
        type=argparse.FileType("r", encoding="ascii", errors="replace"),
        help="the public key in PEM form, as `sealward node key` prints it; - reads it from the terminal",
    )


class SetKey(OneNode, command.ShowOne):
    """Replace the key of a node. `sealward node key --new` prints the new key on that node."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key."""
        parser = super().get_parser(prog_name)
        _add_key_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call PUT /v1/node/{node_id}/key."""
        with parsed_args.key as file:
            return shown(self.sealward.replace_key(parsed_args.node, file.read()))


class NodeAction(OneNode, command.ShowOne):
    """A command that switches validation of a node."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the wait."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--wait", action="store_true", help="wait for the node, and show its answer")
        parser.add_argument("--timeout", type=float, default=PATIENCE, metavar="<seconds>", help="of --wait")
        return parser

    @abc.abstractmethod
    def switch(self, node: int) -> str:
        """Order the switch; return the id of the task."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call POST /v1/sign/node/{node_id}/action."""
        task_id = self.switch(parsed_args.node)
        timeout = parsed_args.timeout if parsed_args.wait else 0
        return shown(self.sealward.wait_for_task(task_id, timeout))


class ActivateNode(NodeAction):
    """Switch validation of a node on."""

    def switch(self, node: int) -> str:
        """Order the switch; return the id of the task."""
        return self.sealward.activate_node(node)


class DeactivateNode(NodeAction):
    """Switch validation of a node off."""

    def switch(self, node: int) -> str:
        """Order the switch; return the id of the task."""
        return self.sealward.deactivate_node(node)
