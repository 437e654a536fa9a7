"""Writes invitations of hosts to the log and to join files: `sealward node enroll`, `invite`, `uninvite`."""

from __future__ import annotations

import os
import pwd
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.cli.environment import existing_settings
from sealward.cli.refusal import Refusal, refusing
from sealward.commands.context import RequestContext

if TYPE_CHECKING:
    import argparse

    from sealward.commands.messages import Command
    from sealward.protocol.joining import Join
    from sealward.settings import Settings

HOURS: Final = 24.0
MOST_HOURS: Final = 24.0 * 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of an invitation."""
    parser.add_argument(
        "--join",
        type=Path,
        metavar="FILE",
        help="the file for the node with the invitation's secret; default: SEALWARD_JOIN_FILE, or "
        "HOSTNAME.join. A file that exists is used again.",
    )
    parser.add_argument(
        "--authority",
        type=Path,
        metavar="FILE",
        help="the authority's public key (PEM); default: the public key of SEALWARD_AUTHORITY_KEY, or "
        "authority.pub in SEALWARD_DATA_DIR",
    )
    parser.add_argument(
        "--hours",
        type=float,
        default=HOURS,
        metavar="N",
        help="how long the invitation can be used; default: %(default)g",
    )


def has_log(where: Settings) -> bool:
    """Say whether the settings name a log that invitations can be written to."""
    return where.database_url is not None or (where.data_dir / "log.sqlite").exists()


def invite(args: argparse.Namespace) -> Path:
    """Invite a host; return the join file that the host's agent needs. Raises Refusal."""
    from sealward.commands.errors import Rejected
    from sealward.commands.messages import InviteNode
    from sealward.events.signing.keys import KeyRefused
    from sealward.protocol.joining import JoinRefused

    if not 0 < args.hours <= MOST_HOURS:
        raise Refusal(f"--hours: more than 0, at most {MOST_HOURS:g}")
    where = existing_settings()
    file = args.join or where.join_file or Path(f"{args.hostname}.join")
    with refusing(JoinRefused, KeyRefused, OSError, Rejected):
        join = _join(file, args, where)
        command = InviteNode(
            context=RequestContext(actor=_actor()),
            hostname=args.hostname,
            invitation=join.invitation,
            expires_at=datetime.now(UTC) + timedelta(hours=args.hours),
        )
        _carry_out(command, where)
    return file


def uninvite(args: argparse.Namespace) -> int:
    """Revoke the invitation of a host. Raises Refusal."""
    from sealward.commands.errors import Rejected
    from sealward.commands.messages import UninviteNode

    with refusing(Rejected):
        _carry_out(
            UninviteNode(context=RequestContext(actor=_actor()), hostname=args.hostname), existing_settings()
        )
    print(f"{args.hostname} is invited no longer")
    return 0


def _join(file: Path, args: argparse.Namespace, where: Settings) -> Join:
    """Return the invitation in a join file; make the file where it is missing."""
    from sealward.protocol import joining

    if file.exists():
        join = joining.read(file)
        if join.hostname != args.hostname:
            raise Refusal(f"{file} is the invitation of {join.hostname}; name another file with --join")
        return join
    join = joining.Join(
        hostname=args.hostname,
        secret=secrets.token_bytes(joining.SEED),
        authority=_authority(args.authority, where),
    )
    joining.write(join, file)
    return join


def _authority(file: Path | None, where: Settings) -> str:
    """Return the authority's public key (PEM)."""
    from sealward.events.signing import keys

    own = where.authority_key or where.data_dir / "authority.pem"
    public = file or where.data_dir / "authority.pub"
    if file is None and own.exists():
        return keys.public_pem(keys.private_key(own).public_key())
    if not public.exists():
        raise Refusal(
            "name the file with the authority's public key: --authority FILE (a worker writes it as "
            "authority.pub to its SEALWARD_DATA_DIR)"
        )
    return keys.public_pem(keys.public_key(public.read_text(encoding="ascii")))


def _actor() -> str:
    """Return the actor for the log: the user at the terminal."""
    uid = os.getuid()
    try:
        return f"user:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # a container's user has no name
        return f"user:{uid}"


def _carry_out(command: Command, where: Settings) -> None:
    from sealward.commands.writer.handler import Handler
    from sealward.events.base import utc_now
    from sealward.events.store.postgres import NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    with refusing(StoreUnavailable, NotMigrated):
        found = storage(where)
        try:
            handler = Handler(found.store, None, clock=utc_now, fresh_for=timedelta(seconds=where.fresh_for))
            handler.handle(command)
        finally:
            found.close()
