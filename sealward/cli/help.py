"""How `--help` reads: descriptions are wrapped, examples stay as they stand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

INDENT: Final = "  "

EXAMPLES: Final = {
    "sealward": ("sealward run", "sealward COMMAND --help"),
    "sealward health": ("sealward health", "sealward health --url http://127.0.0.1:9362"),
    "sealward token issue": ("sealward token issue alice --role security-officer --days 90",),
    "sealward node enroll": ("sealward node enroll kvm1 --broker amqps://broker.example:5671/%2F",),
    "sealward node invite": ("sealward node invite kvm1 --hours 2",),
    "sealward node uninvite": ("sealward node uninvite kvm1",),
    "sealward node expel": ("sealward node expel kvm1",),
    "sealward node key": ("sealward node key", "sealward node key --new"),
    "sealward dead-letters show": ("sealward dead-letters show 5e14e381-f98b-475e-8b19-7bd77bde8701",),
    "sealward dead-letters replay": (
        "sealward dead-letters replay --all",
        "sealward dead-letters replay --reason event.newer-version",
    ),
    "sealward dead-letters drop": ("sealward dead-letters drop --reason report.malformed",),
    "sealward subscribe": (
        "sealward subscribe --type sign.validated",
        "sealward subscribe --from 2026-01-02T03:04:05Z --count 10",
    ),
    "sealward schema": ("sealward schema", "sealward schema sign.validated"),
    "sealward openapi": ("sealward openapi",),
    "sealward replay": ("sealward replay", "sealward replay --until 2026-01-02T03:04:05Z"),
    "sealward policy sample": ("sealward policy sample",),
    "sealward openstack-register": ("sealward openstack-register https://sealward.example:9362 --run",),
    "sealward measure": (
        "sealward measure --uri qemu:///system instance-00000068",
        "sealward measure --xml dump.xml",
    ),
    "sealward diff": ("sealward diff --xml signed.xml found.xml",),
    "sealward verify": ("sealward verify envelope.json --key authority.pub --key node.pub",),
}
"""Program and sub-command → how it is used; a test parses every one of them."""


class Help(argparse.HelpFormatter):
    """Wraps paragraphs; lines that are indented stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.split("\n\n")
        return "\n\n".join(
            part if part.startswith(INDENT) else super(Help, self)._fill_text(part, width, indent)
            for part in parts
        )


def finish(parser: argparse.ArgumentParser) -> None:
    """Give the parser and all that are under it their form and examples."""
    for one in every(parser):
        one.formatter_class = Help
        used = EXAMPLES.get(one.prog)
        if used is not None:
            lines = "\n".join(INDENT + line for line in used)
            one.epilog = f"examples:\n\n{lines}" + (f"\n\n{one.epilog}" if one.epilog else "")


def every(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Return the parser and those of all its sub-commands."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its sub-commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for one in action.choices.values():
                yield from every(one)
