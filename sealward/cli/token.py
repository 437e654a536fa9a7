"""`sealward token`: issue, list and revoke API tokens."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sealward.cli.environment import own_settings, settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sealward.control.tokens import Tokens

NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its three verbs."""
    from sealward.control.role import Role

    token = commands.add_parser(
        "token",
        help="issue, list and revoke API tokens",
        description="API tokens of SEALWARD_DATABASE_URL, or SEALWARD_DATA_DIR. Every API process accepts a "
        "new token, and refuses a revoked token, from the next request on. Only hashes of tokens are kept.",
    )
    verbs = token.add_subparsers(required=True, metavar="VERB")
    issue = verbs.add_parser(
        "issue",
        help="make a token and print it once",
        description="Make a token and print it. It cannot be printed again.",
    )
    issue.add_argument("name", help="the user that the log will show")
    issue.add_argument("--role", choices=tuple(Role), default="reader", help="default: reader")
    issue.add_argument("--days", type=float, metavar="N", help="days until it expires; default: never")
    issue.set_defaults(run=_issue)
    revoke = verbs.add_parser(
        "revoke",
        help="revoke a token at once",
        description="Revoke the token of a user at once. The log keeps the user's actions.",
    )
    revoke.add_argument("name", help="the user, as `token list` shows it")
    revoke.set_defaults(run=_revoke)
    listing = verbs.add_parser(
        "list",
        help="list the issued tokens",
        description="List names, roles, times of issue and of expiry, separated by tabs; never the tokens.",
    )
    listing.set_defaults(run=_list)


def _issue(args: argparse.Namespace) -> int:
    from sealward.commands.errors import Rejected
    from sealward.control.role import Role

    if not NAME.fullmatch(args.name) or args.name == "admin":
        raise Refusal("a name has up to 64 letters, digits and . _ @ -, and is not `admin`")
    if args.days is not None and not 0 < args.days <= 3650:  # noqa: PLR2004 - ten years
        raise Refusal("--days: more than 0, at most 3650")
    expires_at = None if args.days is None else datetime.now(UTC) + timedelta(days=args.days)
    if settings().keystone is not None:
        raise Refusal("SEALWARD_AUTH=keystone: `openstack token issue` gives a token that is good here")
    with _tokens() as tokens, refusing(Rejected):
        print(tokens.issue(args.name, Role(args.role), expires_at))
    return 0


def _revoke(args: argparse.Namespace) -> int:
    from sealward.commands.errors import Rejected

    with _tokens() as tokens, refusing(Rejected):
        tokens.revoke(args.name)
    return 0


def _list(args: argparse.Namespace) -> int:
    del args
    with _tokens() as tokens:
        for one in tokens.all():
            until = "until revoked" if one.expires_at is None else f"until {one.expires_at.isoformat()}"
            print(f"{one.name}\t{one.role}\tissued {one.issued_at.isoformat()}\t{until}")
    return 0


@contextlib.contextmanager
def _tokens() -> Iterator[Tokens]:
    from sealward.control.tokens import Tokens
    from sealward.events.store.postgres import NotAllowed
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import control

    with refusing(StoreUnavailable, NotAllowed):
        database = control(own_settings())
        try:
            yield Tokens(database, lambda: datetime.now(UTC))
        finally:
            database.close()
