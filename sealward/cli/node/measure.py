"""`sealward measure`: print the measurement of a domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.cli.node.diff import read
from sealward.cli.refusal import refusing

if TYPE_CHECKING:
    import argparse

    from sealward.node_agent.measuring.measure import Measured

A_DAY: Final = 86400.0
"""Seconds that a command waits for files to be read."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    measure = commands.add_parser(
        "measure",
        help="print the measurement of a domain as JSON",
        description="Print the profile, the digest and those of all sections of a domain, as an agent does.",
    )
    source = measure.add_mutually_exclusive_group(required=True)
    source.add_argument("--xml", type=Path, metavar="FILE", help="an XML dump, - for stdin")
    source.add_argument("--uri", nargs=2, metavar=("URI", "NAME"), help="a domain by name or UUID")
    measure.set_defaults(run=_measure)


def _measure(args: argparse.Namespace) -> int:
    measurement = (from_libvirt(*args.uri) if args.uri else _from_file(args.xml)).measurement
    shown: dict[str, object] = {
        "profile": measurement.profile,
        "digest": measurement.digest,
        "sections": dict(measurement.sections),
    }
    if measurement.live:
        shown["live"] = dict(measurement.live)
    print(json.dumps(shown, indent=2))
    return 0


def _from_file(path: Path) -> Measured:
    from sealward.node_agent.measuring.canonical import DomainXmlRefused
    from sealward.node_agent.measuring.measure import measure

    with refusing(DomainXmlRefused):
        return measure(read(path), None, "")


def from_libvirt(uri: str, name: str, *, with_files: bool = True) -> Measured:
    """Measure a domain of libvirt's as an agent does. Raises Refusal."""
    from sealward.node_agent.files.content.cache import Cache
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.files.refusals import refusal
    from sealward.node_agent.hypervisor.hypervisor import describe
    from sealward.node_agent.measuring.canonical import DomainXmlRefused
    from sealward.node_agent.measuring.form import unmeasured
    from sealward.node_agent.measuring.measure import measure
    from sealward.node_agent.measuring.not_measured import NotMeasured

    files = FileMeasurer(Cache(None), lambda _: None, A_DAY, patience=A_DAY)
    files.start()
    try:
        with refusing(NotMeasured, DomainXmlRefused):
            xml = describe(uri, name)
            look = files.look(name, xml.driver, fresh=True) if with_files else unmeasured
            measured = measure(xml.config, xml.live, xml.hypervisor, look)
            if measured.measurement.unread:
                raise refusal(measured.measurement.unread)
            return measured
    finally:
        files.stop()
