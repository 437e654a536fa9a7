"""`sealward events set-aside`: the events that a part of the control plane could not process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.characters import escaped
from sealward.cli.environment import existing_settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sealward.events.set_aside import Aside
    from sealward.settings import Settings
    from sealward.storage import Storage


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verbs."""
    events = commands.add_parser(
        "events",
        help="events that could not be processed",
        description="Look after the events of the log.",
    )
    kinds = events.add_subparsers(required=True, metavar="WHICH")
    aside = kinds.add_parser(
        "set-aside",
        help="events that a part of the control plane has set aside",
        description="A part of the control plane that cannot process an event sets the event aside and goes "
        "on with the next. The event stays in the log as it is.",
    )
    verbs = aside.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser(
        "list",
        help="list the events",
        description="List position, part, time, topic, reason and detail of each event.",
    )
    listing.set_defaults(run=_list)
    show = verbs.add_parser(
        "show", help="print an event", description="Print an event. Control characters are escaped."
    )
    show.add_argument("position", type=int, help="as `events set-aside list` shows it")
    show.set_defaults(run=_show)
    retry = verbs.add_parser(
        "retry",
        help="have all events processed again, after an upgrade",
        description="Rebuild the projections from the log, and publish the events that the relay could not "
        "publish. An event that still cannot be processed is set aside again: then the status is 1.",
    )
    retry.set_defaults(run=_retry)


def _list(args: argparse.Namespace) -> int:
    del args
    return _with_storage(lambda found, _: _print(found))


def _print(found: Storage) -> int:
    for one in _all(found):
        print(f"{one.position}  {one.part}  {one.at.isoformat()}  {one.topic}  {one.reason}  {one.detail}")
    return 0


def _show(args: argparse.Namespace) -> int:
    return _with_storage(lambda found, _: _print_one(found, args.position))


def _print_one(found: Storage, position: int) -> int:
    if position not in {one.position for one in _all(found)}:
        raise Refusal(f"no event was set aside at {position}; `sealward events set-aside list` shows them")
    if not position:
        raise Refusal("position 0 is no event of the log: an agent set a message aside. See that agent's log")
    (entry,) = found.store.copy(position - 1, 1)
    print(f"{entry.position}  {entry.stream}  {entry.version}  {escaped(entry.topic)}")
    print(escaped(entry.state.decode(errors="backslashreplace")))
    return 0


def _retry(args: argparse.Namespace) -> int:
    del args
    return _with_storage(_retried)


def _retried(found: Storage, where: Settings) -> int:
    from sealward.commands.writer.unit_of_work import is_readable
    from sealward.control.set_aside import CELERY, DECISIONS, NODE, RELAY, TELLER, SetAside
    from sealward.events.base import utc_now
    from sealward.projections.store.replay import replay

    before = _all(found)
    if any(one.part == found.projections.set_aside.part for one in before):
        replay(found.store, found.projections, lambda _: None)
    kept = SetAside(found.control, utc_now)
    for one in before:
        if one.part == TELLER:
            _have_all_told(found, one.position)
        is_taken = one.part in {CELERY, TELLER} or (
            one.part == RELAY and _published(one.position, found, where)
        )
        if one.part == DECISIONS:
            is_taken = is_readable(found.store, found.store.copy(one.position - 1, 1)[0])
        if one.part.startswith(NODE):
            is_taken = _is_told_anew(found, one.part.removeprefix(NODE))
        if is_taken:
            kept.forget(one.part, one.position)
    after = _all(found)
    print(f"{len(before) - len(after)} of {len(before)} were taken")
    _print(found)
    return 1 if after else 0


def _have_all_told(found: Storage, position: int) -> None:
    """Have every node told everything anew: the event does not say which node it concerned."""
    from sealward.control.untold import Untold

    with found.projections.reading() as tables:
        hostnames = [one.hostname for one in found.projections.nodes.all(tables)]
    Untold(found.control).note(dict.fromkeys(hostnames, position))


def _is_told_anew(found: Storage, hostname: str) -> bool:
    """Have a node told everything anew; an agent that breaks again reports that again."""
    from sealward.control.untold import Untold

    Untold(found.control).note({hostname: found.store.head()})
    return True


def _published(position: int, found: Storage, where: Settings) -> bool:
    """Publish an event; say whether the broker took it. Subscribers see by its sequence that it is late."""
    from sealward.events.bus.amqp import AmqpPublisher
    from sealward.events.bus.tls import Tls

    if where.broker_url is None:
        return True
    refused: list[int] = []
    publisher = AmqpPublisher(where.broker_url, Tls.of(where), lambda *one: refused.append(one[0]))
    try:
        publisher.publish(found.store.copy(position - 1, 1))
    finally:
        publisher.close()
    return not refused


def _all(found: Storage) -> list[Aside]:
    """Return the events that any part has set aside, in the order of the log."""
    from sealward.control.set_aside import SetAside
    from sealward.events.base import utc_now

    with found.projections.reading() as tables:
        rows = found.projections.set_aside.all(tables)
    return sorted([*rows, *SetAside(found.control, utc_now).all()], key=lambda one: (one.position, one.part))


def _with_storage(work: Callable[[Storage, Settings], int]) -> int:
    from sealward.events.bus.connection import BusUnavailable
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    where = existing_settings()
    with refusing(NotMigrated, NotAllowed, StoreUnavailable, BusUnavailable):
        found = storage(where)
        try:
            return work(found, where)
        finally:
            found.close()
