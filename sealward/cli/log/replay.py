"""`sealward replay`: rebuild all projections from the log."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from sealward.cli.environment import existing_settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse

    from tqdm import tqdm

    from sealward.events.store.store import EventStore
    from sealward.projections.signs import SignRow
    from sealward.storage import Storage

MAX_SHOWN: Final = 20
CHANGED: Final = (
    "somebody has written to the database. Find out what was done, or restore.\n"
    "The rows are taken from this log with `replay --adopt` alone."
)
QUIET: Final = 5.0
"""Seconds between lines of progress in a log file."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    replay = commands.add_parser(
        "replay",
        help="rebuild all projections from the log, compare, swap; status 1 when any row was wrong",
        description="Rebuild all projections from the log into a shadow, compare the rebuilt rows with the "
        "rows in use, and replace these. The control plane can run meanwhile. Rows of a log that has flaws, "
        "or whose snapshots have flaws, are replaced only with --adopt. With --until: print the verdicts as "
        "of then, a JSON object for each sign, and change nothing.",
    )
    replay.add_argument("--adopt", action="store_true", help="replace the rows even if the log has flaws")
    replay.add_argument("--until", metavar="TIME|POSITION", help="as 2026-01-02T03:04:05Z, or 4711")
    replay.set_defaults(run=_replay)


def _replay(args: argparse.Namespace) -> int:
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    with refusing(NotMigrated, NotAllowed, StoreUnavailable):
        found = storage(existing_settings())
        try:
            if args.until is not None:
                return _show(found.store, args.until)
            sound = _is_sound(found.store)
            if not sound and not args.adopt:
                return 1
            return max(_rebuild(found, adopts=args.adopt), int(not sound))
        finally:
            found.close()


def _is_sound(store: EventStore) -> bool:
    """Print the flaws of the log; say whether it has none."""
    from sealward.commands.writer.soundness import flaws

    found = list(flaws(store))
    for flaw in found[:MAX_SHOWN]:
        print(flaw)
    if found:
        print(
            f"{len(found)} flaws: somebody has written to the database. Find out what was done, or restore."
        )
        print("The rows are taken from this log with `replay --adopt` alone.")
    return not found


def _rebuild(found: Storage, *, adopts: bool) -> int:
    from sealward.projections.store.replay import replay

    began = time.monotonic()
    with _progress(found.store.head()) as bar:
        replayed = replay(found.store, found.projections, bar.update, adopts=adopts)
    if replayed.changed is not None:
        print(f"event {replayed.changed} is not the event that the Merkle tree was made of: {CHANGED}")
        if not adopts:
            return 1
    wrong = len(replayed.differences)
    print(f"replayed {replayed.events} events up to position {replayed.position}: {wrong} differences")
    print(f"{replayed.events / (time.monotonic() - began):,.0f} events/s", file=sys.stderr)
    for difference in replayed.differences[:MAX_SHOWN]:
        print(difference)
    return 1 if wrong else 0


def _show(store: EventStore, until: str) -> int:
    from sealward.projections.past import Past

    past = Past(store)
    position, moment = _until(store, until)
    try:
        with _progress(position) as bar, past.up_to(position, bar.update) as (signs, tables):
            for row in signs.page(tables, now=moment):
                print(json.dumps(_known(row, moment)))
    finally:
        past.close()
    print(f"as of position {position}, {moment.isoformat()}", file=sys.stderr)
    return 0


def _until(store: EventStore, text: str) -> tuple[int, datetime]:
    """Return the position and the time that `--until` names. Raises Refusal."""
    if text.isascii() and text.isdigit():
        position = min(int(text), store.head())
        last = store.follow(position - 1, 1) if position else []
        return position, last[0].event.timestamp if last else datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - naive, as refused below
    if moment.tzinfo is None:
        raise Refusal("--until: a position, or a time with its zone, as 2026-01-02T03:04:05Z")
    return store.position_at(moment), moment


def _known(row: SignRow, moment: datetime) -> dict[str, object]:
    verdict = row.verdict_at(moment)
    return {
        "id": row.sign_id,
        "server_id": row.server_id,
        "instance_name": row.instance_name,
        "node_id": row.node_id,
        "is_valid": verdict.is_valid.value,
        "reasons": list(verdict.reasons),
        "checked_at": verdict.checked_at.isoformat(),
        "generation": row.sealed,
        "created_at": row.created_at.isoformat(),
    }


def _progress(total: int) -> tqdm[NoReturn]:
    """Return a progress bar; without a terminal it prints a line every `QUIET` seconds."""
    from tqdm import tqdm

    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit=" events",
        desc="replay",
        mininterval=0.1 if watched else QUIET,
        delay=0 if watched else QUIET,
    )
