"""`sealward replay`: build all projections anew from the log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sealward.cli.place import existing
from sealward.cli.refusal import refusing

if TYPE_CHECKING:
    import argparse

MAX_SHOWN = 20


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    replay = commands.add_parser(
        "replay",
        help="rebuild all projections from the log, compare, swap; status 1 when any row was wrong",
        description="Rebuild all projections from the log into a shadow, compare them with the rows in use, "
        "and take the rebuilt ones. Also beside a running control plane.",
    )
    replay.set_defaults(run=_replay)


def _replay(args: argparse.Namespace) -> int:
    del args
    from tqdm import tqdm

    from sealward.control_plane import storage
    from sealward.events.postgres import NotMigrated
    from sealward.events.store import StoreUnavailable
    from sealward.projections.replay import replay

    with refusing(NotMigrated, StoreUnavailable):
        found = storage(existing())
        try:
            total = found.store.head()
            with tqdm(total=total, unit=" events", desc="replay", disable=not sys.stderr.isatty()) as bar:
                replayed = replay(found.store, found.projections, bar.update)
        finally:
            found.close()
    wrong = len(replayed.differences)
    print(f"replayed {replayed.events} events up to position {replayed.position}: {wrong} differences")
    for difference in replayed.differences[:MAX_SHOWN]:
        print(difference)
    return 1 if wrong else 0
