"""What nodes and the control plane say to each other, in bytes.

A node's report is a DSSE envelope signed by the node's key: whoever can write to the queue cannot speak in
the name of a node. Several reports of a node can be one envelope. A node reports what it saw; what becomes of
it is decided here, not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import msgspec

from sealward.characters import escaped
from sealward.error import SealwardError
from sealward.events import typed, values
from sealward.events.base import Moment  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.comparison.binding import AS_SIGNED, Binding
from sealward.events.comparison.measurement import Finding
from sealward.events.enforcement import Action, Gate, Outcome
from sealward.events.policy import AS_NODE, DEFAULT, Policy, ServerPolicy
from sealward.events.signing import envelope as envelopes
from sealward.events.values import (
    Code,
    Count,
    Entries,
    FileFact,
    Generation,
    Hostname,
    Id,
    InstanceName,
    Line,
    Nonce,
    Path,
    Pem,
    Ranges,
    ReadLater,
    ServerId,
    TaskId,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE = "application/vnd.sealward.report+json"
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""A count that every JSON reader and every database keeps exactly."""
MOST_SERVERS: Final = 20_000
"""Servers of one node: twenty times what a large host runs."""
MOST_FINDINGS: Final = 5_000
"""Findings of one report; an agent makes 200 for each section and form at most."""
MOST_REASONS: Final = 64
"""Reasons for which one sweep could not vouch for signs: more than there are."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a message of a node: twice what the inventory of `MOST_SERVERS` takes."""
Findings = Annotated[tuple[Finding, ...], Entries(MOST_FINDINGS)]
MAX_READINGS = 200
"""Servers in one report of progress; the others wait behind them."""
INBOX = "reports"
"""Where nodes put their reports, and control planes read."""
MOST: Final = 64
"""Reports that a bundle may hold."""
Read = TypeVar("Read")


class Turn(NamedTuple):
    """Which envelope of a node it is: `seq` counts within `boot`, which counts the starts of its agent.

    Both count from 1. A later envelope of a node has the greater turn.
    """

    boot: int
    seq: int


def queue_of(hostname: str) -> str:
    """Return the name of the queue that a node reads."""
    return f"node.{hostname}"


def inbox_of(hostname: str) -> str:
    """Return the name of the inbox that a node alone writes to."""
    return f"{INBOX}.{hostname}"


class ReportMalformed(SealwardError, ValueError):
    """The message is no report that this version of Sealward knows."""

    code = "report.malformed"


class ReportOfAnotherNode(ReportMalformed):
    """The report names another node than the bundle that holds it."""

    code = "report.wrong-node"


class Report(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What a node says. `hostname` must be the one whose registered key signed it.

    `boot` and `seq` number the envelopes of a node (`Turn`). A report inside a bundle has none of its own.
    """

    hostname: Hostname
    boot: Number = 0
    seq: Number = 0


class Registration(Report, frozen=True, kw_only=True, tag="registration"):
    """I am here, this is my key (PEM): tell me all that I have to know. The answer repeats the `nonce`."""

    public_key: Pem
    nonce: Nonce = ""


class Heartbeat(Report, frozen=True, kw_only=True, tag="heartbeat"):
    """I am still here."""


class Inventory(Report, frozen=True, kw_only=True, tag="inventory"):
    """These servers, and no others, were on me at `taken_at`: (server_id, instance_name).

    `running` are the ids of those that ran; None from an agent that does not say. `leaving` are the ids of
    those that libvirt migrates out, or has migrated out so that only a definition is left.
    """

    instances: Annotated[tuple[tuple[ServerId, InstanceName], ...], Entries(MOST_SERVERS)]
    taken_at: Moment
    running: Annotated[tuple[ServerId, ...], Entries(MOST_SERVERS)] | None = None
    leaving: Annotated[tuple[ServerId, ...], Entries(MOST_SERVERS)] = ()


class Firmware(Report, frozen=True, kw_only=True, tag="firmware"):
    """These are all the firmware files that I have: roots of their content by path."""

    files: dict[Path, FileFact]


class Measurement(Report, frozen=True, kw_only=True, tag="measurement"):
    """I measured a server: `envelope` holds the statement, signed by me. `findings` explain a difference.

    `host_bound` are findings about what is no violation.
    """

    server_id: ServerId
    envelope: Annotated[dict[str, Any], ReadLater()]
    cause: Code
    task_id: TaskId | None = None
    findings: Findings = ()
    host_bound: Findings = ()


class Failure(Report, frozen=True, kw_only=True, tag="failure"):
    """I could not measure a server for a sign; `reason` is a stable code."""

    server_id: ServerId
    sign_id: Id
    reason: Code
    failed_at: Moment
    cause: Code
    task_id: TaskId | None = None


class Withheld(msgspec.Struct, frozen=True):
    """The signs of `sign_ids` (as ranges) that a sweep could not vouch for, and why."""

    reason: Code
    sign_ids: Ranges


class Sweep(Report, frozen=True, kw_only=True, tag="sweep"):
    """I looked at all signed servers that I know of, from `started_at` on. `vouched` were equal."""

    cause: Code
    started_at: Moment
    vouched: Ranges
    withheld: Annotated[tuple[Withheld, ...], Entries(MOST_REASONS)]
    counts: dict[Word, Count]
    digest: Word
    task_id: TaskId | None = None


class Enforcement(Report, frozen=True, kw_only=True, tag="enforcement"):
    """My start gate is so now; `reason` is a stable code."""

    state: Gate
    reason: Code | None = None


class Objection(Report, frozen=True, kw_only=True, tag="objection"):
    """My start gate objected to a start, with or without me. I say it until it is recorded."""

    id: Word
    server_id: ServerId | None
    instance_name: InstanceName
    decided_at: Moment
    reason: Code
    refused: bool
    findings: Findings = ()


class Reaction(Report, frozen=True, kw_only=True, tag="reaction"):
    """I acted upon a violation. I say it until it is recorded."""

    id: Word
    server_id: ServerId
    generation: Generation
    action: Action
    outcome: Outcome
    taken_at: Moment
    reason: Line | None = None
    policy_position: Id | None = None


class Reading(msgspec.Struct, frozen=True):
    """How many bytes of a server's files have been read, and of how many; the rate is bytes a second."""

    server_id: ServerId
    bytes_done: Bytes
    bytes_total: Bytes
    bytes_per_second: Bytes | None = None


class Progress(Report, frozen=True, kw_only=True, tag="progress"):
    """These servers wait for me to read their files, and no others."""

    readings: Annotated[tuple[Reading, ...], msgspec.Meta(max_length=MAX_READINGS)]


class SetAside(Report, frozen=True, kw_only=True, tag="set-aside"):
    """I could not take the event at `position` of the log, and went on without it.

    `about` is its topic. With the position 0 it is something else that broke, which `about` names.
    """

    position: Number
    about: Word
    reason: Word
    detail: Line


Told = (
    Heartbeat
    | Inventory
    | Firmware
    | Measurement
    | Failure
    | Sweep
    | Enforcement
    | Objection
    | Reaction
    | Progress
    | SetAside
)
"""What a node says that is known."""


class Wanted(Report, frozen=True, kw_only=True, tag="wanted"):
    """My start gate is asked about a server that is none of mine: say whether and as what it is signed.

    The answer repeats the `nonce`.
    """

    server_id: ServerId
    nonce: Nonce = ""


class Leaving(Report, frozen=True, kw_only=True, tag="leaving"):
    """The answer to an Inquiry, whose `nonce` it repeats: how the server was at `looked_at`, my time.

    `has` says whether it is here; `leaving` whether libvirt migrates it out, or has migrated it out.
    """

    server_id: ServerId
    nonce: Word
    has: bool
    leaving: bool
    looked_at: Moment


AnyReport = Registration | Wanted | Leaving | Told


class Bundle(Report, frozen=True, kw_only=True, tag="reports"):
    """I have several things to say, in this order. What of it is no report hurts none of the others.

    A registration is none: it brings the key that the rest is verified with. A question waits for no others.
    """

    reports: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class Unread(msgspec.Struct, frozen=True):
    """What can be read of a report that this version does not know: who says it, and its turn."""

    hostname: Hostname
    boot: Number = 0
    seq: Number = 0


class Assignment(msgspec.Struct, frozen=True):
    """A sign of the node: what is ordered, what is in force (`envelope`, JSON text), what is known."""

    sign_id: int
    server_id: str
    ordered: int
    sealed: int
    is_valid: str
    reasons: tuple[str, ...]
    envelope: str | None
    policy: ServerPolicy = AS_NODE
    policy_position: int | None = None
    binding: Binding = AS_SIGNED
    claimed_by: tuple[int, ...] = ()
    """The ids of the nodes that say that they run the server, too."""
    ordered_task: str | None = None
    """The task of the order that was given last: a measurement that seals has to name it."""


class Duty(msgspec.Struct, frozen=True):
    """A task that waits for the node: validate a server, activate or deactivate."""

    task_id: str
    action: str
    server_id: str | None


class Desired(msgspec.Struct, frozen=True, tag_field="kind", tag="desired"):
    """All that a node has to know, as of `position`: the answer to a registration.

    `active` is None while nobody has switched validation on or off. `authority` is the public key (PEM) that
    the control plane signs with. From now on the node believes what this key, or one of those `beside` it,
    has signed. One of these or of the `earlier` ones must have countersigned a reference. `policy_position`
    is that of the event that set the policy.
    """

    node_id: int
    position: int
    active: bool | None
    authority: str
    assignments: tuple[Assignment, ...]
    duties: tuple[Duty, ...]
    firmware: dict[str, str] | None = None
    """The firmware files that were accepted; None where none were ever reported."""
    policy: Policy = DEFAULT
    policy_position: int | None = None
    enforcement: Gate = Gate.ABSENT
    enforcement_reason: str | None = None
    recorded: tuple[str, ...] = ()
    """The ids of objections and reactions that need not be said again."""
    answers: str = ""
    """The nonce of the registration that this answers."""
    beside: tuple[str, ...] = ()
    """Other public keys (PEM) of the authority that may speak: the next one, or the one before."""
    earlier: tuple[str, ...] = ()
    """Public keys (PEM) of the authority that may not speak any more, but whose references stay good."""


class Incoming(msgspec.Struct, frozen=True, tag_field="kind", tag="incoming"):
    """The answer to Wanted: the sign of a server that is coming; None where none comes to that node.

    None says nothing about whether the server is signed: it is the answer for a server that nobody
    signed, and for a server whose home does not migrate it to the node that asks. An agent that did not ask
    with the nonce that it `answers` ignores the answer: what was once told is not told again.
    """

    server_id: str
    assignment: Assignment | None
    answers: str = ""


class Behind(msgspec.Struct, frozen=True, tag_field="kind", tag="behind"):
    """The answer to a registration that is not newer than what was heard of the node last.

    The node's ledger was lost or put back: its agent must go on with a boot after `boot`. `answers` is the
    nonce of that registration. An agent that did not ask with that nonce ignores the answer, so nothing moves
    when somebody else sends a registration again.
    """

    boot: Number
    answers: str


class Inquiry(msgspec.Struct, frozen=True, tag_field="kind", tag="inquiry"):
    """The question to the home of a server whether the server leaves it now; see Leaving."""

    server_id: str
    nonce: str


def encode(report: AnyReport) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report)


def together(hostname: str, encoded: Sequence[bytes]) -> Bundle:
    """Return up to `MOST` reports of a node, as `encode` returns each, as a bundle."""
    return Bundle(hostname=hostname, reports=tuple(msgspec.Raw(one) for one in encoded))


def numbered(said: AnyReport | Bundle, turn: Turn) -> AnyReport | Bundle:
    """Return what a node says with its turn."""
    return msgspec.structs.replace(said, boot=turn.boot, seq=turn.seq)


def turn_of(said: AnyReport | Bundle | Unread) -> Turn:
    """Return the turn of what a node says; (0, 0), which is never new, where the agent gave none."""
    return Turn(said.boot, said.seq)


def seal(said: AnyReport | Bundle, *keys: Ed25519PrivateKey) -> bytes:
    """Return what a node says as an envelope that all the keys have signed."""
    envelope = envelopes.Envelope(msgspec.json.encode(said), PAYLOAD_TYPE)
    for key in keys:
        envelope = envelopes.sign(envelope, key)
    return msgspec.json.encode(envelope.to_json())


def parse(envelope: envelopes.Envelope) -> AnyReport | Bundle:
    """Return the report that an envelope holds; whose signature it bears is not looked at here.

    Raises ReportMalformed.
    """
    if len(envelope.payload) > MOST_BYTES:
        raise ReportMalformed(f"more than {MOST_BYTES} bytes")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ReportMalformed(f"payload type {envelope.payload_type!r}")
    return _decoded(_ENVELOPED, envelope.payload)


def unread(envelope: envelopes.Envelope) -> Unread:
    """Return in whose name an envelope speaks, if its content is no report that is known.

    Raises ReportMalformed where even that cannot be read.
    """
    return _decoded(_UNREAD, envelope.payload)


def unbundle(said: AnyReport | Bundle) -> Sequence[AnyReport | ReportMalformed]:
    """Return what a node said, one by one; in the place of what is no report of that node, why."""
    return [_part(said.hostname, one) for one in said.reports] if isinstance(said, Bundle) else [said]


def _part(hostname: str, text: msgspec.Raw) -> AnyReport | ReportMalformed:
    try:
        report = _decoded(_PART, text)
    except ReportMalformed as malformed:
        return malformed
    if report.hostname != hostname:
        return ReportOfAnotherNode(ReportOfAnotherNode.__doc__)
    return report


def _decoded(decoder: typed.Decoder[Read], text: bytes | msgspec.Raw) -> Read:
    try:
        return _fit(decoder.decode(text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, values.Unfit) as unreadable:
        raise ReportMalformed(str(unreadable)) from unreadable


def _fit(read: Read) -> Read:
    """Return a report whose values are of their types. Raises Unfit.

    Findings and names explain what happened: what of them cannot be printed is escaped, so that the violation
    or the start is recorded all the same.
    """
    try:
        values.check(read)
    except values.Unfit:
        if not isinstance(read, Measurement | Objection | Reaction):
            raise
        read = msgspec.structs.replace(read, **_printable(read))
        values.check(read)
    return read


def _printable(report: Measurement | Objection | Reaction) -> dict[str, object]:
    """Return what only explains a report, without control characters and within its bounds."""
    match report:
        case Measurement():
            return {"findings": _cut(report.findings), "host_bound": _cut(report.host_bound)}
        case Objection():
            return {"findings": _cut(report.findings), "instance_name": escaped(report.instance_name, 255)}
        case Reaction():
            return {"reason": None if report.reason is None else escaped(report.reason, 1024)}


def _cut(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(one.printable() for one in findings[:MOST_FINDINGS])


_ENVELOPED: Final[typed.Decoder[AnyReport | Bundle]] = typed.decoder(AnyReport | Bundle)
_UNREAD: Final = typed.decoder(Unread)
_PART: Final[typed.Decoder[Told]] = typed.decoder(Told)
