"""`sealward diff` and `sealward explain`: how two domains differ, and what a sign covers, without a node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.cli.refusal import refusing

if TYPE_CHECKING:
    import argparse

    from sealward.events.comparison.measurement import Finding


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both sub-commands."""
    diff = commands.add_parser(
        "diff",
        help="print the differences between two XML dumps; status 1 for violations",
        description="Compare as an agent does a server that was signed as SIGNED while it was off, is "
        "defined as FOUND and runs as RUNNING. Each line begins with `violation`, or with the class of a "
        "difference that is none: completed (decided by the node at the start), bound (rewritten by a move, "
        "strict while the sign stays), state, assigned, derived. After a bar come the code of the finding, "
        "the class of the part, and a sentence; docs/findings.md says what to do. Status 1 when there is a "
        "violation.",
    )
    diff.add_argument(
        "--xml",
        type=Path,
        nargs=2,
        required=True,
        metavar=("SIGNED", "FOUND"),
        help="XML dumps (`virsh dumpxml --inactive`), the signed dump first; - for stdin. "
        "A FOUND that is a running form is compared as RUNNING",
    )
    diff.add_argument("--running", type=Path, metavar="RUNNING", help="the running form (`virsh dumpxml`)")
    diff.set_defaults(run=_diff)
    explain = commands.add_parser(
        "explain",
        help="print each path of a domain with its section and class",
        description="Print section, class and XPath of all that a domain holds, one a line: what is strict "
        "once it is signed (configuration), and what is not, by docs/profile.md.",
    )
    explain.add_argument("--xml", type=Path, required=True, metavar="DOMAIN", help="an XML dump, - for stdin")
    explain.set_defaults(run=_explain)


def _diff(args: argparse.Namespace) -> int:
    from sealward.node_agent.measuring.canonical import DomainXmlRefused
    from sealward.node_agent.measuring.explaining import VIOLATION, compared

    running = None if args.running is None else read(args.running)
    signed, found = (read(path) for path in args.xml)
    with refusing(DomainXmlRefused):
        differences = compared(signed, found, running)
    for word, finding in differences:
        print(f"{word}: {finding} | {_explanation(finding)}")
    return int(any(word == VIOLATION for word, _ in differences))


def _explanation(finding: Finding) -> str:
    from sealward.events.findings.shown import shown

    one = shown(finding)
    return f"{one.code}, {one.kind}: {one.message}"


def _explain(args: argparse.Namespace) -> int:
    from sealward.node_agent.measuring.canonical import DomainXmlRefused
    from sealward.node_agent.measuring.explaining import explained

    with refusing(DomainXmlRefused):
        lines = explained(read(args.xml))
    for section, kind, xpath in lines:
        print(f"{section}: {kind}: {xpath}")
    return 0


def read(path: Path) -> bytes:
    """Return the bytes of a file, or of stdin for `-`."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
