"""`sealward sample`: turn a server of the sample fleet of `sealward run` false, and true again."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from sealward.cli.environment import settings
from sealward.cli.refusal import Refusal

if TYPE_CHECKING:
    import argparse

PATIENCE: Final = 10.0
"""Seconds that `sealward run` may take to answer."""
VERBS: Final = {
    "change": "give a server of the sample fleet another disk, behind the control plane's back",
    "restore": "give the server its disk back",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verbs."""
    sample = commands.add_parser(
        "sample",
        help="change a server of the sample fleet of `run`, to see its verdict turn",
        description="Change a server of the sample fleet that `sealward run` watches without "
        "SEALWARD_LIBVIRT_URI. SEALWARD_DATA_DIR must be that of `sealward run`.",
    )
    verbs = sample.add_subparsers(required=True, metavar="VERB")
    for verb, what in VERBS.items():
        parser = verbs.add_parser(verb, help=what, description=f"{what.capitalize()}.")
        parser.add_argument(
            "server", nargs="?", help="a server's id; default: the server that `sealward run` names"
        )
        parser.set_defaults(run=_ask, verb=verb)


def _ask(args: argparse.Namespace) -> int:
    from sealward.node_agent.hypervisor.sample_socket import NAME

    path = settings().data_dir / NAME
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(f"{args.verb} {args.server or ''}\n".encode())
            answer = connection.makefile(encoding="utf-8").readline()
    except OSError as away:
        raise Refusal(
            f"{path}: {away}; start `sealward run` with this SEALWARD_DATA_DIR and no SEALWARD_LIBVIRT_URI"
        ) from away
    outcome, _, text = answer.rstrip("\n").partition(" ")
    if outcome != "ok":
        raise Refusal(text or "no answer")
    print(text)
    print("A signed server's verdict shows it within a second: GET /v1/sign/SERVER/verdict")
    return 0
