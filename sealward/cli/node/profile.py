"""`sealward profile rehearse`: what the profile in force makes of servers that were signed under another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sealward.cli.environment import settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealward.events.comparison.measurement import Measurement
    from sealward.events.signing.statement import Statement
    from sealward.node_agent.measuring.measure import Measured
    from sealward.node_agent.measuring.upgrade.rehearsing import Rehearsal


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verb."""
    profile = commands.add_parser(
        "profile",
        help="what the profile in force makes of servers signed before",
        description="The profile says what of a domain is measured, and how strictly.",
    )
    verbs = profile.add_subparsers(required=True, metavar="VERB")
    rehearse = verbs.add_parser(
        "rehearse",
        help="say which verdicts an upgrade would change; status 1 for any",
        description="On a node: measure each reference of the agent's ledger (SEALWARD_DATA_DIR) under the "
        "profile of this version, and compare it with what libvirt shows. Nothing is written or reported. "
        "Status 1 when a server would be false or unknown.",
    )
    rehearse.add_argument(
        "--uri", help="libvirt's URI; without it references alone are measured, and no server is looked at"
    )
    rehearse.set_defaults(run=_rehearse)


def _rehearse(args: argparse.Namespace) -> int:
    looks = None if args.uri is None else _Looks(args.uri)
    status = 0
    for one in _rehearsals(looks):
        print(f"{one.server_id}: {one.profile}: {one.verdict}{_undecided(one)}")
        for finding in one.findings:
            print(f"  {finding}")
        status = status or int(one.verdict not in {"true", "decided"})
    return status


def _undecided(one: Rehearsal) -> str:
    return f" (undecided: {', '.join(one.undecided)})" if one.undecided else ""


def _rehearsals(looks: _Looks | None) -> Iterator[Rehearsal]:
    from sealward.events.comparison.binding import AS_SIGNED
    from sealward.node_agent.gate.decision.dossier import LedgerUnreadable, read
    from sealward.node_agent.measuring.upgrade.rehearsing import rehearse

    for statement in _statements():
        server_id = statement.server_id
        with refusing(LedgerUnreadable):
            binding = read(str(_folder()), server_id).binding or AS_SIGNED
        try:
            yield rehearse(statement, None if looks is None else looks.at(server_id), binding)
        except Refusal as refused:
            print(f"{server_id}: not measured: {refused}", file=sys.stderr)


def _folder() -> Path:
    return settings().data_dir / "node"


def _statements() -> Iterator[Statement]:
    """Yield the references of the node, by sign. Raises Refusal where there is no ledger."""
    from sealward.events.signing import envelope, statement
    from sealward.node_agent.gate.decision.dossier import LedgerUnreadable, references

    with refusing(LedgerUnreadable):
        kept = references(str(_folder()))
    for text in kept:
        sealed = envelope.parse(text)
        yield statement.parse(sealed.payload, sealed.payload_type)


class _Looks:
    """Looks at servers as an agent does."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def at(self, server_id: str) -> Callable[[Measurement], Measured]:
        """Return the function that measures a server, with its files where its reference has files."""

        def look(reference: Measurement) -> Measured:
            from sealward.cli.node.measure import from_libvirt

            return from_libvirt(self._uri, server_id, with_files=bool(reference.files))

        return look
