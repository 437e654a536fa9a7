"""`sealward policy sample`: prints the access rules of the API, as a file that changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verb."""
    policy = commands.add_parser(
        "policy",
        help="show the access rules of the API",
        description="Every call of the API has a rule; the file of SEALWARD_POLICY_FILE can override rules.",
    )
    verbs = policy.add_subparsers(required=True, metavar="VERB")
    sample = verbs.add_parser(
        "sample",
        help="print a file of access rules that changes nothing",
        description="Print every rule with its default, in comments: a start for SEALWARD_POLICY_FILE.",
    )
    sample.set_defaults(run=_sample)


def _sample(args: argparse.Namespace) -> int:
    del args
    from sealward.http.auth.permissions import sample

    print(sample(), end="")
    return 0
