"""The form of `--help`: descriptions are wrapped, examples keep their lines."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any, Final

WIDTH: Final = 78
INDENT: Final = "  "

EXAMPLES: Final = {
    "sealward": ("sealward run", "sealward COMMAND --help"),
    "sealward sample change": ("sealward sample change",),
    "sealward sample restore": ("sealward sample restore",),
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
"""Example command lines of each sub-command. A test parses every example."""


class Parser(argparse.ArgumentParser):
    """A parser whose help has wrapped paragraphs and examples. Its sub-commands have such parsers, too."""

    def __init__(self, prog: str, description: str, epilog: str = "", **more: Any) -> None:  # noqa: ANN401 - argparse's
        parts = (_examples(prog), _wrapped(epilog))
        super().__init__(
            prog=prog,
            description=_wrapped(description),
            epilog="\n\n".join(part for part in parts if part),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **more,
        )


def _examples(program: str) -> str:
    lines = [INDENT + line for line in EXAMPLES.get(program, ())]
    return "\n".join(("examples:", "", *lines)) if lines else ""


def _wrapped(text: str) -> str:
    """Return a text with wrapped paragraphs; indented paragraphs keep their lines."""
    parts = text.split("\n\n")
    return "\n\n".join(part if part.startswith(INDENT) else textwrap.fill(part, WIDTH) for part in parts)
