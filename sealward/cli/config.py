"""`sealward config check`: check the settings of the environment, and start nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sealward.cli.environment import settings
from sealward.cli.refusal import refusing
from sealward.settings import SettingRefused

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    config = commands.add_parser(
        "config",
        help="check the settings, and start nothing",
        description="Check the settings of the environment, and start nothing.",
    )
    actions = config.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="check names, values, contradictions and files of all SEALWARD_ variables",
        description="Check the SEALWARD_ variables as each process does before it starts: names, values, "
        "settings that contradict each other, files that must be readable. No value is printed, no server is "
        "asked; `sealward health` asks. The status is 2 when a setting is refused.",
    )
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    del args
    from sealward.settings.files import refuse_unreadable

    with refusing(SettingRefused):
        refuse_unreadable(settings())
    found = sorted(name for name in os.environ if name.startswith("SEALWARD_") and os.environ[name])
    print(f"the settings are fine; set are: {', '.join(found) or 'none, the defaults are used'}")
    return 0
