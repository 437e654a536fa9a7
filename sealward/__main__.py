"""The `sealward` command: the only place that reads the environment and wires the rooms together."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.node_agent.canonical import DomainXmlRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.events.measurement import Measurement


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit status: 0 fine, 1 found differences, 2 could not be done."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except (DomainXmlRefused, OSError) as refused:
        print(f"sealward: {refused}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sealward", description="Integrity signatures of libvirt servers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    measure = commands.add_parser("measure", help="print the measurement of a domain's XML as JSON")
    measure.add_argument("--xml", type=Path, required=True, metavar="FILE", help="an XML dump, - for stdin")
    measure.set_defaults(run=_measure)
    diff = commands.add_parser(
        "diff", help="print what differs between two XML dumps; status 1 when anything does"
    )
    diff.add_argument("--xml", type=Path, nargs=2, required=True, metavar=("SIGNED", "FOUND"))
    diff.set_defaults(run=_diff)
    return parser


def _measure(args: argparse.Namespace) -> int:
    from sealward.node_agent.measure import measure

    print(json.dumps(_shown(measure(_read(args.xml), None, "").measurement), indent=2))
    return 0


def _diff(args: argparse.Namespace) -> int:
    from sealward.events.measurement import differing
    from sealward.node_agent.findings import findings
    from sealward.node_agent.measure import measure

    signed, found = (measure(_read(path), None, "") for path in args.xml)
    sections = differing(signed.measurement, found.measurement)
    if not sections:
        return 0
    for finding in findings(signed.evidence(), found.evidence(), sections):
        print(finding)
    return 1


def _read(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def _shown(measurement: Measurement) -> dict[str, object]:
    return {
        "profile": measurement.profile,
        "digest": measurement.digest,
        "sections": dict(measurement.sections),
    }


if __name__ == "__main__":
    sys.exit(main())
