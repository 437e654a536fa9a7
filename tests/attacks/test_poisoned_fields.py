"""A node, or somebody with its broker user, says what some reader of the log could not carry.

Each value was taken by the control plane once, and stopped its projections or its relay for good.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from door import NOW, ONE_NODE, SERVERS, Door
from factories import ONE_OF_EACH
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.errors import Unrecordable
from sealward.commands.messages import ActivateNode
from sealward.commands.writer.unit_of_work import UnitOfWork
from sealward.events import values
from sealward.events.base import Event, node_stream
from sealward.events.bus.message import Poison
from sealward.events.comparison.measurement import Finding
from sealward.events.enforcement import Action, Gate, Outcome
from sealward.events.sign import SignValidated
from sealward.events.signing import envelope as envelopes
from sealward.events.store import store as stores
from sealward.events.store.store import EventStore
from sealward.events.values import Unfit
from sealward.intake.orders import TASK, Orders
from sealward.protocol import codec
from sealward.settings import SettingRefused, Settings

CHARACTERS = ("\0", "\x1b[2J", "\n2026-01-01 WARNING forged", "\x7f", "\x85", "\u2028", "\u202e", "\u2069")
SERVER_IDS = (*CHARACTERS, "", "x", "a" * 12_000, SERVERS[0].upper().replace("0", "A"), f"{{{SERVERS[0]}}}")
WORDS = (*CHARACTERS, "x" * 5000)
RANGES = ("\0", "9" * 5000, "1-", "-1", "a", "2,1", "1 2")
NAMES = ("", "-a", "a-", "a..b", "a" * 64, "kvm_1", "é", "a/b", "#", "*")
HOSTNAMES = (*(f"kvm{one}" for one in CHARACTERS), *NAMES)
TASK_IDS = ("", "t" * 300, "\U0001f4a9" * 155, "t\0", "a b", "a/b", "é", "\n")
FAR_EAST = timezone(timedelta(hours=14))
NUMBERS = (-1, 2**63, 2**64, 10**400)
HEADERS = {"task": TASK, "id": "t"}
TIMES = (
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2026-01-02T12:00:00",
    "2026-01-02T12:00:00+14:00",
)


@pytest.fixture
def store() -> EventStore:
    """Return an empty store."""
    return stores.in_memory()


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door at which the node kvm1 is known, with one signed server."""
    made = Door(store)
    assert made.take(NODE.registration(), NODE.inventory(SERVERS[0])) == [None, None]
    NODE.sign(made.handler, SERVERS[:1])
    assert made.take(NODE.measured(SERVERS[0], 1, NOW, cause="sealed")) == [None]
    return made


NODE = Reporter("kvm1", 1)
FINE: dict[str, dict[str, Any]] = {
    "registration": {"public_key": "", "nonce": "n"},
    "heartbeat": {},
    "inventory": {"instances": [[SERVERS[1], "instance-1"]], "taken_at": NOW, "running": [SERVERS[1]]},
    "firmware": {"files": {"/a": "ab"}},
    "failure": {
        "server_id": SERVERS[0],
        "sign_id": 1,
        "reason": "domain-locked",
        "failed_at": NOW + timedelta(seconds=1),
        "cause": "sweep",
        "task_id": "t-1",
    },
    "sweep": {
        "cause": "sweep",
        "started_at": NOW,
        "vouched": "1",
        "withheld": [{"reason": "domain-locked", "sign_ids": "2"}],
        "counts": {"true": 1},
        "digest": "ab",
        "task_id": "t-1",
    },
    "enforcement": {"state": Gate.DEGRADED, "reason": "hook-missing"},
    "objection": {
        "id": "o-1",
        "server_id": SERVERS[0],
        "instance_name": "x",
        "decided_at": NOW,
        "reason": "measurement-differs",
        "refused": True,
        "findings": [],
    },
    "reaction": {
        "id": "r-1",
        "server_id": SERVERS[0],
        "generation": 1,
        "action": Action.SHUTDOWN,
        "outcome": Outcome.DONE,
        "taken_at": NOW,
        "reason": None,
        "policy_position": 1,
    },
    "progress": {"readings": [{"server_id": SERVERS[0], "bytes_done": 1, "bytes_total": 2}]},
    "wanted": {"server_id": SERVERS[0]},
}
"""A report of each kind that a node says, all of them in order."""
LONG: Mapping[str, Sequence[object]] = {
    "inventory.instances": [[[SERVERS[1], "x"]] * 20_001],
    "inventory.running": [[SERVERS[1]] * 20_001],
    "firmware.files": [{f"/{number}": "x" for number in range(20_001)}],
    "sweep.vouched": ["1," * 40_000 + "1"],
    "sweep.counts": [{f"c{number}": 1 for number in range(20_001)}],
}


def said(kind: str, **fields: object) -> bytes:
    """Return a report with any content as kvm1 signs it."""
    return said_again({"kind": kind, "hostname": NODE.hostname} | FINE[kind] | fields)


BAD: Mapping[str, Sequence[object]] = {
    "hostname": list(HOSTNAMES),
    "server_id": list(SERVER_IDS),
    "task_id": list(TASK_IDS),
    "instances": [[[one, "x"]] for one in SERVER_IDS] + [[[SERVERS[1], one]] for one in WORDS],
    "running": [[one] for one in SERVER_IDS],
    "files": [{one: "x"} for one in WORDS] + [{"/a": one} for one in WORDS],
    "counts": [{one: 1} for one in WORDS] + [{"true": one} for one in NUMBERS],
    "withheld": [
        *([{"reason": one, "sign_ids": "1"}] for one in WORDS),
        *([{"reason": "x", "sign_ids": one}] for one in RANGES),
    ],
    "vouched": list(RANGES),
    "readings": [[{"server_id": one, "bytes_done": 1, "bytes_total": 2}] for one in SERVER_IDS],
    **{one: list(TIMES) for one in ("taken_at", "failed_at", "started_at", "decided_at")},
    **{one: list(NUMBERS) for one in ("sign_id", "generation", "policy_position")},
}
"""By field what it must never hold. What only explains is escaped instead: see below."""
EXPLAINS = {("objection", "instance_name"), ("objection", "findings"), ("reaction", "reason")}


@pytest.mark.parametrize("kind", FINE)
def test_what_a_node_says_has_types(door: Door, kind: str) -> None:
    """Refused by a stable code, for each field; the reports of other nodes in the same batch are accepted."""
    other = Reporter("kvm2", 2)
    fields = {"hostname": "", **FINE[kind]}
    for field in (one for one in fields if (kind, one) not in EXPLAINS | {("objection", "refused")}):
        before = len(door.log())
        for value in [*BAD.get(field, WORDS), *LONG.get(f"{kind}.{field}", ())]:
            answers = door.take(
                said(kind, **{field: value}), other.registration(), other.inventory(SERVERS[2])
            )

            assert answers[0] in {"report.malformed", "envelope.malformed"}, (field, value)
            assert answers[1:] == [None, None], (field, value)
        for event in door.log()[before:]:
            values.check(event)


@pytest.mark.parametrize("text", CHARACTERS, ids=lambda one: one.encode().hex()[:20])
def test_a_violation_is_recorded_whatever_explains_it(door: Door, text: str) -> None:
    """A finding is escaped: nobody keeps a false out of the log by a name in a domain's XML."""
    body = NODE.measured(SERVERS[0], 1, NOW + timedelta(seconds=1), disk="other")
    report = msgspec.json.decode(envelopes.parse(body).payload)
    report["findings"] = [msgspec.to_builtins(Finding("disks", f"/x{text}", text, None))]
    assert door.take(said_again(report)) == [None]

    (false,) = (one for one in door.log() if isinstance(one, SignValidated) and one.is_valid == "false")
    assert text not in false.findings[0].xpath
    assert door.take(said("objection", instance_name=f"x{text}", findings=report["findings"])) == [None]
    assert door.take(said("reaction", outcome=Outcome.FAILED, reason=f"no{text}")) == [None]
    for event in door.log():
        values.check(event)


def said_again(report: dict[str, Any]) -> bytes:
    """Return a changed report as kvm1 signs it, in its turn."""
    turn = next(NODE.turns)
    text = msgspec.json.encode(report | {"boot": turn.boot, "seq": turn.seq})
    made = envelopes.Envelope(text, codec.PAYLOAD_TYPE)
    return msgspec.json.encode(envelopes.sign(made, NODE.key).to_json())


def _keyid(report: dict[str, Any]) -> None:
    report["envelope"]["signatures"][0]["keyid"] = "k\0"


def _deep(report: dict[str, Any]) -> None:
    inner: Any = "x"
    for _ in range(30):
        inner = [inner]
    report["envelope"]["more"] = inner


def _huge(report: dict[str, Any]) -> None:
    report["envelope"]["more"] = 2**63


def test_what_an_envelope_says_beside_what_is_signed_is_typed_or_forgotten(door: Door) -> None:
    """A keyid is signed by nobody and would reach the rows with a seal; other fields go nowhere."""
    for change, answer in ((_keyid, "statement.refused"), (_deep, None), (_huge, None)):
        body = NODE.measured(SERVERS[0], 1, NOW + timedelta(seconds=1))
        report = msgspec.json.decode(envelopes.parse(body).payload)
        change(report)

        assert door.take(said_again(report)) == [answer]
    for event in door.log():
        values.check(event)


@pytest.mark.parametrize("task_id", TASK_IDS, ids=lambda one: one.encode().hex()[:20])
def test_an_order_of_celery_has_types(door: Door, task_id: str) -> None:
    """A correlation id of AMQP holds 255 bytes; the path of a task holds visible ASCII."""
    orders = Orders(door.handler, ONE_NODE, lambda: NOW)
    before = len(door.log())

    with pytest.raises(Poison, match=r"order\.malformed"):
        orders.take(b'[[], {"node_id": 1, "action": "activate"}, {}]', {"task": TASK, "id": task_id})
    assert len(door.log()) == before


@pytest.mark.parametrize("expires", ["2026-01-02T12:00:00", "9999-01-01T00:00:00Z", "x"])
def test_when_an_order_expires_is_a_time(door: Door, expires: str) -> None:
    """A naive time would raise where it is compared; the offset of a time does not matter."""
    orders = Orders(door.handler, ONE_NODE, lambda: NOW)
    body = b'[[], {"node_id": 1, "action": "activate"}, {}]'

    with pytest.raises(Poison, match=r"order\.malformed"):
        orders.take(body, {"task": TASK, "id": "t-2", "expires": expires})
    orders.take(body, {"task": TASK, "id": "t-3", "expires": "2199-01-01T00:00:00+02:00"})


@pytest.mark.parametrize("node_id", [-1, 2**63, 2**64])
def test_the_node_of_an_order_is_an_id(door: Door, node_id: int) -> None:
    """No database is asked for a number that it has no room for."""
    orders = Orders(door.handler, ONE_NODE, lambda: NOW)

    with pytest.raises(Poison, match=r"order\.malformed"):
        orders.take(
            json.dumps([[], {"node_id": node_id, "action": "activate"}, {}]).encode(),
            {"task": TASK, "id": "t"},
        )


def _unfit(value: object) -> list[object]:
    """Return what a field of an event must never hold, given what it may."""
    match value:
        case str():
            return ["\0", "\ud800", "x" * 20_000, "a\x85b", "\u202e"]
        case datetime():
            return [
                NOW.replace(year=9999),
                NOW.replace(tzinfo=None),
                NOW.astimezone(timezone(timedelta(hours=14))),
            ]
        case int() if not isinstance(value, bool):
            return list(NUMBERS)
    return []


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda one: one.topic)
def test_no_event_enters_the_log_that_somebody_cannot_carry(store: EventStore, event: Event) -> None:
    """For each decider and each field: the store refuses the event, and nothing is appended."""
    for field in dataclasses.fields(event):
        for value in _unfit(getattr(event, field.name)):
            bad = dataclasses.replace(event, **{field.name: value})  # type: ignore[arg-type]  # that is the point

            with pytest.raises(Unfit, match=field.name):
                store.append(node_stream("kvm1"), 0, [event, bad])
    assert store.head() == 0


def test_a_command_that_cannot_be_recorded_hurts_none_of_its_neighbours(door: Door) -> None:
    """It is refused by its own code before anything is appended."""
    refused: list[str] = []

    def work(batch: UnitOfWork) -> None:
        refused.clear()
        for actor, task_id in (("user:a\nb", "t-1"), ("user:b", "t-2")):
            try:
                batch.handle(
                    ActivateNode(context=RequestContext(actor=actor, task_id=task_id), hostname="kvm1")
                )
            except Unrecordable as unrecordable:
                refused.append(unrecordable.code)

    door.handler.together(work)
    with pytest.raises(Unrecordable, match="actor"):
        door.handler.handle(
            ActivateNode(context=RequestContext(actor="user:a\nb", task_id="t-3"), hostname="kvm1")
        )

    assert refused == ["event.unfit"]
    assert [one.task_id for one in door.log()[-1:]] == ["t-2"]


@pytest.mark.parametrize("name", ["SEALWARD_BROKER_URL", "SEALWARD_DATA_DIR", "SEALWARD_LIBVIRT_URI"])
def test_a_setting_is_one_line(name: str) -> None:
    """A path, a URL or a name with control characters is refused by name, not met later."""
    for text in CHARACTERS:
        with pytest.raises(SettingRefused, match=name):
            Settings.from_env({name: f"/x{text}"})
