"""The `sealward` command: one sub-command for each module of `cli`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sealward.cli import config, dead_letters, demo, health, parts, register, run, sample, token
from sealward.cli.documents import openapi, policy, settings
from sealward.cli.help import Parser
from sealward.cli.log import audit, events, replay, subscribe, verify
from sealward.cli.node import diff, gate, measure, node, profile
from sealward.cli.refusal import Refusal
from sealward.cli.version import Version
from sealward.settings import SettingRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

EPILOG = """exit status: 0 fine; 1 differences, a bad signature or a part that failed; 2 could not be done.

Settings are environment variables: SEALWARD_LISTEN, SEALWARD_DATA_DIR and others; see `sealward settings`."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser("sealward", "Integrity signatures of libvirt servers.", EPILOG)
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (
        run,
        demo,
        sample,
        parts,
        health,
        node,
        gate,
        dead_letters,
        events,
        subscribe,
        openapi,
        settings,
        config,
        replay,
        audit,
        token,
        policy,
        register,
        measure,
        diff,
        profile,
        verify,
    ):
        module.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit status."""
    args = parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except (Refusal, SettingRefused, OSError) as refused:
        print(f"sealward: {refused}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
