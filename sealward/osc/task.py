"""`openstack sign task show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osc_lib.command import command

from sealward.osc.command import Sealward, shown

if TYPE_CHECKING:
    import argparse


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
