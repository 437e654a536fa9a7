"""`sealward dead-letters`: list, show, replay or drop the messages that no part of Sealward could handle."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.cli.environment import settings
from sealward.cli.letter import readable
from sealward.cli.parts import broker
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from sealward.events.bus.dead_letters import DeadLetter, DeadLetters


ALONE: Final = "the user of SEALWARD_BROKER_URL has not set it aside, or not from an inbox; it can be dropped"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its four verbs."""
    letters = commands.add_parser(
        "dead-letters",
        help="messages that no part of Sealward could handle",
        description="A message that no part of Sealward could handle is kept in a queue of "
        "SEALWARD_BROKER_URL with the reason, until it is replayed (after an upgrade, say) or dropped.",
    )
    verbs = letters.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser(
        "list",
        help="list the messages, oldest first",
        description="List id, time, queue, reason and detail of each, with control characters escaped.",
    )
    listing.set_defaults(run=_list)
    show = verbs.add_parser(
        "show",
        help="print a message, decoded",
        description="Print a message as indented JSON; signed payloads are decoded in their places. Nothing "
        "is verified. Control characters other than line feeds are escaped.",
    )
    show.add_argument("--raw", action="store_true", help="the body as it arrived")
    show.add_argument("id", help="as `dead-letters list` shows it")
    show.set_defaults(run=_show)
    for verb, what in (("replay", "put back into the inboxes they came from"), ("drop", "drop for good")):
        parser = verbs.add_parser(verb, help=what, description=f"The named messages: {what}.")
        parser.add_argument("id", nargs="*", help="ids of messages, as `dead-letters list` shows them")
        parser.add_argument("--all", action="store_true", help="all messages")
        parser.add_argument("--reason", metavar="CODE", help="the messages with this reason")
        parser.set_defaults(run=_replay if verb == "replay" else _drop)


def _list(args: argparse.Namespace) -> int:
    del args
    with _letters() as letters:
        for one in letters.all():
            whose = one.queue if one.is_ours else f"(forged: its sender names the queue {one.queue})"
            print(escaped(f"{one.letter_id}  {one.at}  {whose}  {one.reason}  {one.detail}"))
    return 0


def _show(args: argparse.Namespace) -> int:
    with _letters() as letters:
        found = next((one for one in letters.all() if one.letter_id == args.id), None)
    if found is None:
        raise Refusal(f"no dead letter has the id {args.id}; `sealward dead-letters list` shows them")
    text = found.body.decode(errors="backslashreplace") if args.raw else readable(found.body)
    print("\n".join(escaped(line) for line in text.split("\n")))
    return 0


def _replay(args: argparse.Namespace) -> int:
    chosen = _chosen(args)
    with _letters() as letters:
        for one in letters.all():
            if chosen(one) and not letters.goes_back(one):
                print(escaped(f"left alone: {one.letter_id}  {one.queue}: {ALONE}"), file=sys.stderr)
        return _say("put back", letters.replay(chosen))


def _drop(args: argparse.Namespace) -> int:
    with _letters() as letters:
        return _say("dropped", letters.drop(_chosen(args)))


def _say(what: str, letters: list[DeadLetter]) -> int:
    for one in letters:
        print(escaped(f"{what}: {one.letter_id}  {one.queue}  {one.reason}"))
    if not letters:
        print("none was chosen; `sealward dead-letters list` shows them")
    return 0 if letters else 1


def _chosen(args: argparse.Namespace) -> Callable[[DeadLetter], bool]:
    if not (args.id or args.all or args.reason):
        raise Refusal("name the messages: ids, --reason CODE or --all")
    return lambda one: args.all or one.letter_id in args.id or one.reason == args.reason


@contextlib.contextmanager
def _letters() -> Iterator[DeadLetters]:
    from sealward.events.bus.connection import BusUnavailable
    from sealward.events.bus.dead_letters import DeadLetters
    from sealward.events.bus.tls import Tls

    where = settings()
    with refusing(BusUnavailable), DeadLetters(broker(where), Tls.of(where)) as letters:
        yield letters
