"""`openstack sign report`: the servers that are false or unknown, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from osc_lib.command import command

from sealward.osc.command import Lines, Sealward, listed

if TYPE_CHECKING:
    import argparse

GROUPS: Final = ("name", "section", "servers", "false", "unknown", "nodes", "instance_names")
MEANT: Final = (*GROUPS, "means", "to_do")
LONG: Final = (
    "is_valid",
    "reason",
    "code",
    "section",
    "xpath",
    "signed",
    "found",
    "form",
    "server_id",
    "instance_name",
    "node_id",
    "hostname",
    "checked_at",
)
NAMED: Final = 5


class ShowReport(Sealward, command.Lister):
    """List the servers that are false or unknown, grouped by reason, code, finding, section or node.

    With --long a row for each finding, or for each reason of a server without findings: --long -f csv.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the grouping and the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--by",
            choices=("reason", "code", "finding", "section", "node"),
            help="how to group (default: reason)",
        )
        parser.add_argument("--is-valid", choices=("false", "unknown"), help="with this verdict alone")
        parser.add_argument("--node", type=int, metavar="<id>", help="on this node alone")
        parser.add_argument("--reason", metavar="<reason>", help="with this reason alone, as node-lost")
        parser.add_argument("--section", metavar="<section>", help="with a finding in this section alone")
        parser.add_argument("--long", action="store_true", help="a row for each finding of each server")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Call GET /v1/report."""
        wanted = {
            "is_valid": parsed_args.is_valid,
            "node_id": parsed_args.node,
            "reason": parsed_args.reason,
            "section": parsed_args.section,
        }
        if parsed_args.long:
            return listed(LONG, self.sealward.list_report(**wanted))
        report = self.sealward.show_report(by=parsed_args.by, servers=NAMED, **wanted)
        if report["left"]:
            self.log.warning("%d groups are not shown; narrow the report, or use --long", report["left"])
        names = MEANT if any(group["means"] for group in report["groups"]) else GROUPS
        return listed(names, map(_flat, report["groups"]))


def _flat(group: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a group; of many servers the first are named."""
    names = [one["instance_name"] for one in group["members"]]
    further = group["servers"] - len(names)
    return group | {"instance_names": Lines([*names, f"and {further} more"] if further else names)}
