"""`sealward node`: an operator's commands for a node: its user at the broker, its invitation, its keys."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from sealward.cli.environment import settings
from sealward.cli.node import invitation
from sealward.cli.refusal import Refusal, refusing
from sealward.events.bus.permissions import LIMITS, of_node, user_of
from sealward.events.values import RFC1123

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

HOSTNAME: Final = re.compile(RFC1123)
ADD_USER: Final = """\
add_user() ( # NAME FILE: where rabbitmqctl takes a hash, it reads no password from a file (4.0)
    umask 077
    if rabbitmqctl --quiet help add_user | grep -q -- --pre-hashed-password; then
        head -c 4 /dev/urandom > "$2.salt"
        tr -d '\\n' < "$2" | cat "$2.salt" - > "$2.salted"
        sha256sum < "$2.salted" | head -c 64 | tr a-f A-F | basenc --base16 -d | cat "$2.salt" - > "$2.hashed"
        rabbitmqctl --quiet add_user "$1" "$(base64 -w 0 < "$2.hashed")" --pre-hashed-password
        rm "$2.salt" "$2.salted" "$2.hashed"
    else
        rabbitmqctl --quiet add_user "$1" < "$2"
    fi
)
"""
"""Shell: make a user of RabbitMQ. A command line shows at most a salted hash of the password.

The hash: https://www.rabbitmq.com/docs/passwords#computing-password-hash.
"""
SCRIPT: Final = """\
# Run this where rabbitmqctl reaches the broker. It prints no secret and leaves none on a command line.
set -Ceu # what a file's name leads to already is not written to
umask 077
{add_user}
if rabbitmqctl --quiet list_users | cut -f 1 | grep -Fqx {user}; then
    rabbitmqctl --quiet set_permissions -p {vhost} {user} {configure} {write} {read}
    rabbitmqctl --quiet set_user_limits {user} {limits}
    echo "{user} is a user already: its password stays. For a new one, delete_user {user} first." >&2
    exit 0
fi
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \\n' > {file}.password
add_user {user} {file}.password
rabbitmqctl --quiet set_permissions -p {vhost} {user} {configure} {write} {read}
rabbitmqctl --quiet set_user_limits {user} {limits}
printf '{scheme}://%s:%s@{broker}/{path}\\n' {user} "$(cat {file}.password)" > {file}.broker-url
rm {file}.password
# Now move {file}.broker-url to the node, readable by its agent alone, and start the agent there with
#   SEALWARD_BROKER_URL_FILE=/etc/sealward/broker-url
#   SEALWARD_JOIN_FILE=/etc/sealward/join, the invitation (`sealward node invite {file}`)
#   SEALWARD_LIBVIRT_URI=qemu:///system
# The agent makes its own key; `rabbitmqctl delete_user {user}` takes the permission back.
"""


EXPELLED: Final = """\
# Run this where rabbitmqctl reaches the broker, once the node was removed (DELETE /v1/node/{{node_id}}).
set -eu
rabbitmqctl --quiet delete_user {user}
for queue in {queue} {inbox}; do
    if rabbitmqctl --quiet list_queues -p {vhost} name | grep -Fqx "$queue"; then
        rabbitmqctl --quiet delete_queue -p {vhost} "$queue"
    fi
done
# Whoever is connected as that user is cut off. On the host, if there still is one:
#   systemctl disable --now sealward-agent && sealward gate remove
# and delete the agent's data directory: its key is worthless now, but nobody's business.
"""


LATER: Final = "run `sealward node invite` where SEALWARD_DATABASE_URL is set"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verbs."""
    node = commands.add_parser(
        "node",
        help="a node's invitation, its user at the broker, and its keys",
        description="What an operator does for a node: its invitation, its user at the broker, and its keys.",
    )
    verbs = node.add_subparsers(required=True, metavar="VERB")
    enroll = verbs.add_parser(
        "enroll",
        help="invite a host, and print the script that makes its user at the broker",
        description="Invite a host to register as a node, once: in the log of SEALWARD_DATABASE_URL, or "
        "SEALWARD_DATA_DIR, and in a file with a secret that its agent needs (SEALWARD_JOIN_FILE). Then "
        "print a shell script for the broker's administrator. It makes a RabbitMQ user who may read this "
        "node's queue, write to its inbox, and nothing else, and the URL file that the agent needs.",
    )
    enroll.add_argument("hostname", help="as `hostname` prints it on the node")
    enroll.add_argument(
        "--broker",
        default="amqps://localhost:5671/%2F",
        metavar="URL",
        help="without user and password; default: %(default)s",
    )
    invitation.add_arguments(enroll)
    enroll.set_defaults(run=_enroll)
    invite = verbs.add_parser(
        "invite",
        help="let a host register, once; makes no user at the broker",
        description="Write to the log of SEALWARD_DATABASE_URL, or SEALWARD_DATA_DIR, that the host may "
        "register as a node, and write the join file that its agent needs (SEALWARD_JOIN_FILE). The log has "
        "only the public half of the secret in that file. Inviting again with the same file changes nothing.",
    )
    invite.add_argument("hostname", help="as `hostname` prints it on the node")
    invitation.add_arguments(invite)
    invite.set_defaults(run=_invite)
    uninvite = verbs.add_parser(
        "uninvite",
        help="revoke an invitation that was not used",
        description="Write to the log of SEALWARD_DATABASE_URL, or SEALWARD_DATA_DIR, that the invitation of "
        "the host is revoked.",
    )
    uninvite.add_argument("hostname", help="as it was invited")
    uninvite.set_defaults(run=_uninvite)
    _add_expel(verbs)
    _add_key(verbs)


def _add_expel(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    expel = verbs.add_parser(
        "expel",
        help="print the script that takes the broker's user from a node that was removed",
        description="Print a shell script for the broker's administrator: the counterpart of enroll. It "
        "deletes the RabbitMQ user of a node that was removed, and its queues.",
    )
    expel.add_argument("hostname", help="as the node was called")
    expel.add_argument("--vhost", default="/", help="the broker's virtual host; default: %(default)s")
    expel.set_defaults(run=_expel)


def _add_key(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    key = verbs.add_parser(
        "key",
        help="print this node's public key, or make the next key",
        description="Run this on the node, as its agent's user. Print the public key of SEALWARD_DATA_DIR, "
        "and make the key if there is none yet. With --new, make the next key beside it, once, and print "
        "its public key: the agent begins to use the next key as soon as an administrator has named it with "
        "PUT /v1/node/{node_id}/key. Only the owner of the data directory can read the files.",
    )
    key.add_argument("--new", action="store_true", help="make the next key, and print its public key")
    key.set_defaults(run=_key)


def _enroll(args: argparse.Namespace) -> int:
    text = script(args.hostname, args.broker, is_uninvited=settings().registration == "open")
    if invitation.has_log(settings()):
        _say_invited(invitation.invite(args))
    else:
        print(f"no log is here, so {args.hostname} is not invited yet: {LATER}", file=sys.stderr)
    print(text, end="")
    return 0


def _invite(args: argparse.Namespace) -> int:
    if not HOSTNAME.fullmatch(args.hostname):
        raise Refusal(f"{args.hostname!r} is no hostname")
    _say_invited(invitation.invite(args))
    return 0


def _say_invited(file: Path) -> None:
    print(f"the invitation is in {file}; the agent reads it as SEALWARD_JOIN_FILE", file=sys.stderr)


def _uninvite(args: argparse.Namespace) -> int:
    return invitation.uninvite(args)


def _expel(args: argparse.Namespace) -> int:
    if not HOSTNAME.fullmatch(args.hostname):
        raise Refusal(f"{args.hostname!r} is no hostname")
    names = {
        "user": user_of(args.hostname),
        "queue": f"sealward.node.{args.hostname}",
        "inbox": f"sealward.reports.{args.hostname}",
        "vhost": args.vhost,
    }
    print(EXPELLED.format(**{name: shlex.quote(value) for name, value in names.items()}), end="")
    return 0


def _key(args: argparse.Namespace) -> int:
    from sealward.events.signing.keys import KeyRefused
    from sealward.node_agent.gate.guarded import PathRefused
    from sealward.node_agent.ledger.keyring import KeyFolder

    folder = settings().data_dir / "node"
    with refusing(KeyRefused, PathRefused, OSError):
        _be_the_owner_of(folder)
        keys = KeyFolder(folder)
        print(keys.make_next() if args.new else keys.pem, end="")
    return 0


def _be_the_owner_of(folder: Path) -> None:
    """Raise Refusal when another user owns the folder: that user's agent could not read the keys made here.

    Raises PathRefused when another user could redirect the path of the keys.
    """
    from sealward.node_agent.gate import guarded

    guarded.as_owner(folder, lambda _: None, make=0o700)
    owner = folder.lstat().st_uid
    if owner != os.geteuid():
        name = pwd.getpwuid(owner).pw_name
        how = f"runuser -u {name} -- env SEALWARD_DATA_DIR=… sealward node key"
        raise Refusal(f"{folder} is of {name}, and only this user makes keys there: {how}")
    guarded.enter(folder).close()


def script(hostname: str, broker: str, *, is_uninvited: bool = False) -> str:
    """Return the shell script that makes a node's user at the broker. Raises Refusal."""
    if not HOSTNAME.fullmatch(hostname):
        raise Refusal(f"{hostname!r} is no hostname")
    url = urlsplit(broker)
    if url.scheme not in ("amqp", "amqps") or not url.hostname or "@" in url.netloc or "'" in broker:
        raise Refusal("--broker: a URL like amqps://broker.example:5671/%2F, without user and password")
    vhost = url.path.removeprefix("/") or "%2F"
    permissions = of_node(hostname, is_uninvited=is_uninvited)
    return SCRIPT.format(
        add_user=ADD_USER.rstrip(),
        file=shlex.quote(hostname),
        user=shlex.quote(user_of(hostname)),
        vhost=shlex.quote(vhost.replace("%2F", "/").replace("%2f", "/")),
        configure=shlex.quote(permissions.configure),
        write=shlex.quote(permissions.write),
        read=shlex.quote(permissions.read),
        limits=shlex.quote(json.dumps(LIMITS)),
        scheme=url.scheme,
        broker=url.netloc,
        path=quote(vhost, safe="%").replace("%", "%%"),
    )
