"""`openstack sign task list|show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osc_lib.command import command

from sealward.osc.command import Lines, Sealward, listed, shown

if TYPE_CHECKING:
    import argparse


WAITING: Final = (
    "task_id",
    "name",
    "state",
    "server_id",
    "instance_name",
    "hostname",
    "reachable",
    "reasons",
    "created_at",
)


class ListTask(Sealward, command.Lister):
    """List the orders that wait for their nodes, the oldest first, with the reason why each order waits."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--node", type=int, metavar="<id>", help="for this node alone")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/task."""
        found = self.sealward.list_tasks(node_id=parsed_args.node)
        return listed(WAITING, (one | {"reasons": Lines(one["reasons"])} for one in found))


class ShowTask(Sealward, command.ShowOne):
    """Show the outcome of an accepted request."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the task."""
        parser = super().get_parser(prog_name)
        parser.add_argument("task", metavar="<task>", help="the task's ID")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/task/{task_id}."""
        return shown(self.sealward.show_task(parsed_args.task))
