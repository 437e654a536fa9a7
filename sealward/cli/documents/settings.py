"""`sealward settings`: print every setting, its default and what it means."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from sealward.settings.declared import Declared

WIDTH: Final = 100
DOCUMENT: Final = re.compile(r"docs/\w+\.md(?:#[\w-]+)?")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    settings = commands.add_parser(
        "settings",
        help="print every setting, its default and what it means",
        description="Print every environment variable that a Sealward process reads, its default and what it "
        "means. Durations are seconds. A secret is also read from the file that NAME_FILE names.",
    )
    settings.set_defaults(run=_settings)


def table(found: Iterable[Declared]) -> str:
    """Return settings as a Markdown table. Links in the table are relative to the root of the repository."""
    rows = "".join(
        f"| `{one.name}`{' (or `…_FILE`)' if one.secret else ''} | {one.default} | {_linked(one.meaning)} |\n"
        for one in found
    )
    return f"| variable | default | means |\n|---|---|---|\n{rows}"


def _linked(meaning: str) -> str:
    return DOCUMENT.sub(lambda link: f"[{link[0].partition('#')[0]}]({link[0]})", meaning)


def _settings(args: argparse.Namespace) -> int:
    del args
    from sealward.settings import Keystone, Settings
    from sealward.settings.declared import declared_by

    for group in (Settings, Keystone):
        for one in declared_by(group):
            print(f"{one.name}{' or _FILE' if one.secret else ''}  [{_plain(one.default) or 'none'}]")
            print(textwrap.indent(textwrap.fill(_plain(one.meaning), WIDTH - 4), "    "))
    return 0


def _plain(text: str) -> str:
    return text.replace("`", "")
