"""What must be so at any moment of a history, and what when all is quiet."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
from simulation.host import Host, measured
from simulation.messages import apart
from simulation.plane import in_memory, rows
from simulation.world import World

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.comparison.measurement import Measurement, differing
from sealward.events.is_valid import IsValid
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.signing.statement import Statement
from sealward.projections.signs import SignRow
from sealward.protocol import reports

UNDER_A_KEY_BEFORE = frozenset(("envelope.not-verified", "node.hostname-taken"))
TAKEN_BEFORE = frozenset(("report.not-newer",))
"""What the bus has doubled, and delivers after the node has said more."""
ORDERS = (
    of_sign.SignCreated,
    of_sign.SignUpdated,
    of_sign.SignRevoked,
    of_sign.SignValidationRequested,
    of_node.NodeKeyReplaced,
    of_node.NodeActivated,
    of_node.NodeDeactivated,
)

AGAIN = (
    reports.Firmware,
    reports.Measurement,
    reports.Failure,
    reports.Sweep,
    reports.Enforcement,
    reports.Software,
    reports.Objection,
    reports.Reaction,
)


def always(world: World) -> None:
    """No verdict contradicts what the server was like at the moment that the verdict names; no lie counts."""
    lies(world)
    for row in sign_rows(world):
        verdict = row.verdict
        if verdict.is_valid is IsValid.UNKNOWN:
            continue
        then = [host.domains.shape_at(row.server_id, verdict.checked_at) for host in world.hosts]
        shapes = [one for one in then if one is not None]
        assert shapes, f"{row.server_id} was nowhere at {verdict.checked_at}"
        signed = reference(world, row.server_id)
        seen = {bool(differing(signed, measured(row.server_id, *shape))) for shape in shapes}
        assert (verdict.is_valid is IsValid.FALSE) in seen, f"{row} contradicts {shapes}"


def lies(world: World) -> None:
    """No sign is at the liar, and nothing that is claimed is true.

    The liar is given no reference, unless it asked in the moment of a migration, before the destination: then
    the log says so.
    """
    if world.liar is None:
        return
    if world.liar.given():
        log = [one.event for one in world.plane.store.follow(0, 10_000)]
        announced = [one for one in log if isinstance(one, of_sign.SignLeaving) and not one.contested]
        to_liar = {one.server_id for one in announced if one.to_node_id == world.liar.reporter.node_id}
        assert to_liar.issuperset(world.liar.given())
    for row in sign_rows(world):
        assert row.node_id != world.liar.reporter.node_id, f"{row.server_id} is at the liar"
        assert not row.verdict.claims or row.verdict_at(world.now).is_valid is not IsValid.TRUE


def in_the_end(world: World) -> None:
    """All of it: verdicts, orders, tasks, commands, rows; and hearing everything again adds nothing."""
    verdicts(world)
    orders(world)
    tasks(world)
    commands(world)
    inventory(world)
    rebuilt(world)
    nothing_refused(world)
    heard_again(world)


def at_once(world: World) -> None:
    """What needs no sweep: it is so as soon as all has arrived, where nothing is lost."""
    active = activity(world)
    for host in world.hosts:
        if host.domains.gone and active.get(host.hostname):
            said = [row.server_id for row in sign_rows(world) if row.verdict.is_valid is IsValid.TRUE]
            assert not set(said).intersection(host.server_ids), (
                f"{host.hostname} sees nothing: {set(said).intersection(host.server_ids)}"
            )


def verdicts(world: World) -> None:
    """A server on an active node reads what it is."""
    active, held = activity(world), false_before_a_move(world)
    for row in sign_rows(world):
        host = world.host_of(row.server_id)
        if not active.get(host.hostname) or not row.sealed:
            continue
        said = row.verdict_at(world.now)
        allowed = expected(host, row, reference(world, row.server_id))
        if row.server_id in held:
            allowed = {IsValid.FALSE}
        assert said.is_valid in allowed, f"{row.server_id} is {said}, not {allowed}"
        assert (said.is_valid is not IsValid.FALSE) or said.findings


def false_before_a_move(world: World) -> set[str]:
    """Return the servers that were false when their signs moved, and that nobody has sealed since."""
    said: dict[str, IsValid] = {}
    held: set[str] = set()
    for one in world.plane.store.follow(0, 10_000):
        match one.event:
            case of_sign.SignValidated(is_valid=IsValid.UNKNOWN):
                pass  # a false stays false
            case of_sign.SignValidated() as event:
                said[event.server_id] = event.is_valid
            case of_sign.SignMoved() as event if said.get(event.server_id) is IsValid.FALSE:
                held.add(event.server_id)
            case of_sign.SignSealed() | of_sign.SignRevoked() as event:
                said.pop(event.server_id, None)
                held.discard(event.server_id)
    return held


def activity(world: World) -> dict[str, bool | None]:
    """Return for each node whether it validates; None where nobody has said."""
    with world.plane.projections.reading() as tables:
        return {one.hostname: one.active for one in world.plane.projections.nodes.all(tables)}


def expected(host: Host, row: SignRow, signed: Measurement) -> set[IsValid]:
    """Return what a server may read."""
    shape = host.domains.shape(row.server_id)
    if shape is None:
        return {IsValid.UNKNOWN, IsValid.FALSE}
    found = measured(row.server_id, *shape)
    if not differing(signed, found):
        return {IsValid.TRUE}
    return {IsValid.FALSE} if signed.hypervisor == found.hypervisor else {IsValid.FALSE, IsValid.UNKNOWN}


def orders(world: World) -> None:
    """Every order ends in a seal, or says why not; what was sealed was measured for the order, afterwards."""
    for row in sign_rows(world):
        if row.ordered > row.sealed:
            shape = world.host_of(row.server_id).domains.shape(row.server_id)
            assert shape is None, f"{row} was never sealed"
            assert row.verdict.is_valid is not IsValid.TRUE
    ordered: dict[tuple[int, int], of_sign.SignOrdered] = {}
    for one in world.plane.store.follow(0, 10_000):
        event = one.event
        if isinstance(event, of_sign.SignOrdered):
            ordered[event.sign_id, event.generation] = event
        if isinstance(event, of_sign.SignSealed):
            statement = sealed(msgspec.json.encode(event.envelope).decode())
            by = next(one for one in world.hosts if event.actor == f"node:{one.hostname}")
            skew = by.skew + timedelta(milliseconds=5)
            order = ordered[event.sign_id, event.generation]
            assert statement.measured_at - skew >= order.timestamp - timedelta(milliseconds=10)
            assert statement.task_id == order.task_id == event.task_id


def tasks(world: World) -> None:
    """Every task has ended; one that is tried again cannot be done yet."""
    for task_id, name, state, _, server_id, *_ in task_rows(world):
        assert state != "PENDING", f"{name} {task_id} is pending"
        if state == "RETRY":
            shape = world.host_of(str(server_id)).domains.shape(str(server_id))
            assert shape is None, f"{name} {task_id} is still tried"


def commands(world: World) -> None:
    """What was acknowledged is in the log once, unanswered at most once, refused never."""
    log = [one.event for one in world.plane.store.follow(0, 10_000)]
    written = Counter(one.task_id for one in log if isinstance(one, ORDERS))
    assert {one: written[one] for one in world.acknowledged} == dict.fromkeys(world.acknowledged, 1)
    assert all(written[one] <= 1 for one in world.unanswered)
    assert not any(written[one] for one in world.refused)
    created = [one.sign_id for one in log if isinstance(one, of_sign.SignCreated)]
    assert len(created) == len(set(created))


def inventory(world: World) -> None:
    """The control plane knows which servers there are."""
    with world.plane.projections.reading() as tables:
        known = {one.server_id for one in world.plane.projections.servers.page(tables)}
    assert known == {server_id for host in world.hosts for server_id in host.domains.variants}


def rebuilt(world: World) -> None:
    """The rows are what the log gives in one go."""
    anew = in_memory()
    while anew.advance(world.plane.store):
        pass
    assert rows(anew) == rows(world.plane.projections)


def nothing_refused(world: World) -> None:
    """Nodes that say the truth are believed; under a key that was replaced nobody is."""
    told = TAKEN_BEFORE | (UNDER_A_KEY_BEFORE if world.rekeyed else frozenset())
    refused = [str(one) for one in world.plane.refused if one.reason not in told]
    assert refused == [], refused


def heard_again(world: World) -> None:
    """Reports that come again, in any order, order, seal and answer nothing, and change nothing that is read.

    They are known by their counters. What a node says with a later counter and an older time is news: of a
    node whose clock was set back.

    A verdict that nobody asked for may be said again: a measurement that was no news left no event. Of a
    server that is not there any more it may be another: that measurement was overtaken by an older one, and
    none has followed.
    """
    head, before = world.plane.store.head(), read(world)
    bodies = [one for body in sorted(world.plane.taken) for one in apart(body, world.keys, *AGAIN)]
    world.dice.shuffle(bodies)
    for body in bodies:
        world.plane.take(body)
    after = [one.event for one in world.plane.store.follow(head)]
    assert all(isinstance(one, of_sign.SignValidated) and one.task_id is None for one in after), after
    world.plane.project()
    always(world)
    gone = {one.server_id for one in after if isinstance(one, of_sign.SignEvent) and _is_gone(world, one)}
    assert {one: said for one, said in read(world).items() if one not in gone} == {
        one: said for one, said in before.items() if one not in gone
    }


def _is_gone(world: World, event: of_sign.SignEvent) -> bool:
    return world.host_of(event.server_id).domains.shape(event.server_id) is None


def read(world: World) -> dict[str, tuple[IsValid, int]]:
    """Return what every sign reads, and under which generation."""
    return {row.server_id: (row.verdict_at(world.now).is_valid, row.sealed) for row in sign_rows(world)}


def task_rows(world: World) -> list[tuple[object, ...]]:
    """Return all tasks."""
    return rows(world.plane.projections)["tasks"]


def sign_rows(world: World) -> list[SignRow]:
    """Return all signs."""
    with world.plane.projections.reading() as tables:
        return world.plane.projections.signs.page(tables, now=world.now)


def reference(world: World, server_id: str) -> Measurement:
    """Return the reference in force of a server."""
    with world.plane.projections.reading() as tables:
        envelope = world.plane.projections.envelopes.one(tables, server_id)
    assert envelope is not None
    return sealed(envelope).measurement


def sealed(envelope: str) -> Statement:
    """Return what an envelope states."""
    read = envelopes.parse(envelope)
    return statements.parse(read.payload, read.payload_type)
