"""`sealward audit`: the log for an auditor, exported to files and verified offline with public keys alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from sealward.cli.environment import existing_settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse

    from tqdm import tqdm

QUIET: Final = 5.0
"""Seconds between lines of progress in a log file."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    audit = commands.add_parser(
        "audit",
        help="export the log for an auditor; verify an export offline",
        description="The transparency log: each event is a leaf of a Merkle tree whose root is signed.",
    )
    steps = audit.add_subparsers(required=True, metavar="STEP")
    policy = steps.add_parser(
        "policy",
        help="print a trust policy for this log",
        description="Print the policy with which this log is verified (c2sp.org/tlog-policy). An "
        "auditor needs the policy from a source that the auditor trusts, and not from the exported folder.",
    )
    policy.set_defaults(run=_policy)
    export = steps.add_parser(
        "export",
        help="write the log up to its last checkpoint to a folder",
        description="Write checkpoint, tiles, entries and the bytes of all events to a folder.",
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="the folder; it is made when missing")
    export.set_defaults(run=_export)
    verify = steps.add_parser(
        "verify",
        help="verify an export; status 1 when anything is wrong",
        description="Verify an export, offline: the signatures under the checkpoint, the tree, the bytes of "
        "each event, the order and the seals of each stream; then derive each verdict again.",
    )
    verify.add_argument("folder", type=Path, metavar="DIR", help="the folder that `export` has written")
    verify.add_argument("--policy", type=Path, required=True, metavar="FILE", help="the trust policy")
    verify.set_defaults(run=_verify)


def _policy(args: argparse.Namespace) -> int:
    del args
    from sealward.audit.export import NotSigned
    from sealward.control.checkpoints import Checkpoints
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import control

    with refusing(NotSigned, StoreUnavailable):
        database = control(existing_settings())
        try:
            last = Checkpoints(database).last()
        finally:
            database.close()
        if last is None:
            raise NotSigned
    print(f"log {last.vkey}\nquorum none")
    return 0


def _export(args: argparse.Namespace) -> int:
    from sealward.audit.export import NotSigned, export
    from sealward.audit.folder import Folder
    from sealward.control.checkpoints import Checkpoints
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    with refusing(NotMigrated, NotAllowed, NotSigned, StoreUnavailable):
        found = storage(existing_settings())
        try:
            with _progress("export") as bar:
                checkpoints = Checkpoints(found.control)
                last = export(found.store, found.projections, checkpoints, Folder(args.folder), bar.update)
        finally:
            found.close()
    print(f"{last.size} events up to the checkpoint of {last.signed_at.isoformat()}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from sealward.audit.folder import Folder
    from sealward.audit.verification import verify
    from sealward.events.tlog.policy import read_policy
    from sealward.events.tlog.refusals import PolicyRefused

    with refusing(PolicyRefused):
        try:
            policy = read_policy(args.policy.read_text(encoding="utf-8"))
        except UnicodeDecodeError as no_text:
            raise Refusal(f"{args.policy}: not UTF-8") from no_text
    wrong = 0
    with _progress("verify") as bar:
        for step in verify(Folder(args.folder), policy, bar.update):
            bar.clear()
            print(f"{step.name}: {'WRONG' if step.count else 'ok'}{'; ' * bool(step.found)}{step.found}")
            for problem in step.problems:
                print(f"  {problem}")
            if step.count > len(step.problems):
                print(f"  and {step.count - len(step.problems)} more")
            wrong += step.count
    print("verified" if not wrong else f"NOT VERIFIED: {wrong} problems")
    return 1 if wrong else 0


def _progress(name: str) -> tqdm[NoReturn]:
    """Return a bar with rate; where nobody watches, a line now and then."""
    from tqdm import tqdm

    watched = sys.stderr.isatty()
    return tqdm(
        unit=" events",
        desc=name,
        mininterval=0.1 if watched else QUIET,
        delay=0 if watched else QUIET,
    )
