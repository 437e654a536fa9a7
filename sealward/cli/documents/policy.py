"""`sealward policy sample`: print the default access rules of the API as comments of a policy file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verb."""
    policy = commands.add_parser(
        "policy",
        help="show the access rules of the API",
        description="Each call of the API has an access rule, which SEALWARD_POLICY_FILE can override.",
    )
    verbs = policy.add_subparsers(required=True, metavar="VERB")
    sample = verbs.add_parser(
        "sample",
        help="print the default access rules",
        description="Print each access rule with its default, as comments: a start for SEALWARD_POLICY_FILE.",
    )
    sample.set_defaults(run=_sample)


def _sample(args: argparse.Namespace) -> int:
    del args
    from sealward.http.auth.permissions import sample

    print(sample(), end="")
    return 0
