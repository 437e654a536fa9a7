"""The reports that nodes send to the control plane; `protocol.codec` has their wire form.

A node reports observations. The control plane decides which events follow from a report. Docstrings of
reports speak as the node: "I" is the node's agent.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from sealward.events.base import Moment  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.comparison.measurement import Finding
from sealward.events.enforcement import Action, Gate, Outcome  # noqa: TC001 - as above
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

Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""An integer that every JSON reader and every database keeps exactly."""
MOST_SERVERS: Final = 20_000
"""The greatest number of servers of one node: twenty times as many as a large host runs."""
MOST_FINDINGS: Final = 5_000
"""The greatest number of findings in one report. An agent reports at most 200 for each section and form."""
MOST_REASONS: Final = 64
"""The greatest number of different reasons in one sweep: more than there are reasons."""
Findings = Annotated[tuple[Finding, ...], Entries(MOST_FINDINGS)]
MAX_READINGS = 200
"""The greatest number of servers in one report of progress."""
MOST: Final = 64
"""The greatest number of reports in a bundle."""


class Report(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """The fields of every report. The registered key of the node `hostname` must have signed the report.

    `boot` and `seq` are the number of the envelope (`Turn`). Both are 0 in a report inside a bundle.
    """

    hostname: Hostname
    boot: Number = 0
    seq: Number = 0


class Registration(Report, frozen=True, kw_only=True, tag="registration"):
    """I have started, and this is my public key (PEM): send me everything that I have to know.

    The answer, Desired or Behind, repeats the `nonce`.
    """

    public_key: Pem
    nonce: Nonce = ""


class Heartbeat(Report, frozen=True, kw_only=True, tag="heartbeat"):
    """I am alive. This report renews the node's lease."""


class Inventory(Report, frozen=True, kw_only=True, tag="inventory"):
    """At `taken_at` this node had exactly these servers, as pairs of server id and instance name.

    `running` are the ids of the running servers; None from an agent of a version before there was the field.
    `leaving` are the ids of the servers that libvirt migrates out, or has migrated out so that only a
    definition is left.
    """

    instances: Annotated[tuple[tuple[ServerId, InstanceName], ...], Entries(MOST_SERVERS)]
    taken_at: Moment
    running: Annotated[tuple[ServerId, ...], Entries(MOST_SERVERS)] | None = None
    leaving: Annotated[tuple[ServerId, ...], Entries(MOST_SERVERS)] = ()


class Firmware(Report, frozen=True, kw_only=True, tag="firmware"):
    """All firmware files of this node: the root of each file's content by path."""

    files: dict[Path, FileFact]


class Measurement(Report, frozen=True, kw_only=True, tag="measurement"):
    """I measured a server. `envelope` holds the measurement as a statement that this node has signed.

    `findings` are the differences from the reference. `host_bound` are the differences in host-bound parts,
    which are no violations.
    """

    server_id: ServerId
    envelope: Annotated[dict[str, Any], ReadLater()]
    cause: Code
    task_id: TaskId | None = None
    findings: Findings = ()
    host_bound: Findings = ()


class Failure(Report, frozen=True, kw_only=True, tag="failure"):
    """I could not measure a server that has a sign. `reason` is a stable code."""

    server_id: ServerId
    sign_id: Id
    reason: Code
    failed_at: Moment
    cause: Code
    task_id: TaskId | None = None


class Withheld(msgspec.Struct, frozen=True):
    """Signs that a sweep could not vouch for, and the reason. `sign_ids` is a text of ranges of sign ids."""

    reason: Code
    sign_ids: Ranges


class Sweep(Report, frozen=True, kw_only=True, tag="sweep"):
    """I compared all signed servers that I know with their references, beginning at `started_at`.

    `vouched` is a text of ranges: the ids of the signs whose servers were equal to their references.
    """

    cause: Code
    started_at: Moment
    vouched: Ranges
    withheld: Annotated[tuple[Withheld, ...], Entries(MOST_REASONS)]
    counts: dict[Word, Count]
    digest: Word
    task_id: TaskId | None = None


class Enforcement(Report, frozen=True, kw_only=True, tag="enforcement"):
    """The state of my start gate has changed to `state`. `reason` is a stable code."""

    state: Gate
    reason: Code | None = None


class Software(Report, frozen=True, kw_only=True, tag="software"):
    """I am of this version of Sealward, measure by this profile, and the node has this libvirt.

    The agent sends this report only if the answer to its registration had the field `software`, because an
    earlier control plane would refuse the report.
    """

    version: Word
    profile: Word
    hypervisor: Line | None = None


class Objection(Report, frozen=True, kw_only=True, tag="objection"):
    """My start gate objected to the start of a server, perhaps while the agent was not running.

    The agent repeats this report until the log has the objection.
    """

    id: Word
    server_id: ServerId | None
    instance_name: InstanceName
    decided_at: Moment
    reason: Code
    refused: bool
    findings: Findings = ()


class Reaction(Report, frozen=True, kw_only=True, tag="reaction"):
    """I carried out the policy's reaction to a violation.

    The agent repeats this report until the log has the reaction.
    """

    id: Word
    server_id: ServerId
    generation: Generation
    action: Action
    outcome: Outcome
    taken_at: Moment
    reason: Line | None = None
    policy_position: Id | None = None


class ReadProgress(msgspec.Struct, frozen=True):
    """How many bytes of a server's files the node has read, and at which rate in bytes per second."""

    server_id: ServerId
    bytes_done: Bytes
    bytes_total: Bytes
    bytes_per_second: Bytes | None = None


class Progress(Report, frozen=True, kw_only=True, tag="progress"):
    """Exactly these servers wait until I have read their files."""

    readings: Annotated[tuple[ReadProgress, ...], msgspec.Meta(max_length=MAX_READINGS)]


class SetAside(Report, frozen=True, kw_only=True, tag="set-aside"):
    """I could not process the event at `position` of the log, and continued without that event.

    `about` is the event's topic. At position 0 the report is about another failure, which `about` names.
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
    | Software
    | Objection
    | Reaction
    | Progress
    | SetAside
)
"""The reports that a bundle may contain."""


class Wanted(Report, frozen=True, kw_only=True, tag="wanted"):
    """My start gate was asked about a server that I have no reference for: send me the server's sign, if any.

    The answer, Incoming, repeats the `nonce`.
    """

    server_id: ServerId
    nonce: Nonce = ""


class Leaving(Report, frozen=True, kw_only=True, tag="leaving"):
    """The answer to an Inquiry about a server, with the `nonce` of the Inquiry.

    `has` says whether the node had the server at `looked_at` by the node's clock. `leaving` says whether
    libvirt was migrating the server out, or had migrated it out.
    """

    server_id: ServerId
    nonce: Word
    has: bool
    leaving: bool
    looked_at: Moment


AnyReport = Registration | Wanted | Leaving | Told


class Bundle(Report, frozen=True, kw_only=True, tag="reports"):
    """Several reports of a node, in order, under one signature. A malformed report affects no other report.

    A bundle contains no registration, because a registration brings the key that verifies later reports. It
    contains no question (Wanted) and no answer (Leaving) either, because those must not wait for others.
    """

    reports: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1, max_length=MOST)]
