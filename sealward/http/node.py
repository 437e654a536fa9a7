"""The nodes: their names, keys and states, and whether validation is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import NotRegistered
from sealward.events import values  # noqa: TC001 - as below
from sealward.events.enforcement import Gate  # noqa: TC001 - the schema is read off the annotations
from sealward.events.findings.shown import Finding, all_shown
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key
from sealward.events.version import is_older, own
from sealward.http.auth.access import CHANGES, LOOKS, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import Date, Id, Uuid, answer, date, rfc1123
from sealward.http.operation.operation import TASK, Answer, Operation
from sealward.http.operation.parameter import choice

if TYPE_CHECKING:
    from datetime import datetime

    import falcon

    from sealward.http.services import Services
    from sealward.projections.nodes import FirmwareRow, NodeRow

OUTDATED: Final = choice(
    "outdated", ("true", "false"), "Only nodes whose agents are of an earlier version than this API, or not."
)
UNKNOWN: Final = {404: ("node.not-found",)}


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an action."""

    action: Literal["activate", "deactivate"]


class ActionAnswer(msgspec.Struct, frozen=True):
    """An action that was recorded. GET the task to see the result of the node."""

    action: Literal["activate", "deactivate"]
    node_id: Id
    success: bool
    task_id: Uuid


class Firmware(msgspec.Struct, frozen=True):
    """The firmware files that a node found last. `findings` has the differences from the accepted files."""

    is_valid: Literal["true", "false"]
    digest: str
    findings: tuple[Finding, ...]


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest of the firmware files to accept, as GET of the node shows it."""

    digest: Annotated[values.Word, msgspec.Meta(max_length=64, extra_json_schema={"pattern": "^[!-~]+$"})]


class Node(msgspec.Struct, frozen=True):
    """A node. `counts` has its numbers of servers by verdict and of unsigned servers, as of its last sweep.

    The node's reports must be signed with `public_key` (PEM); envelopes name this key by `keyid`. `firmware`
    is null where the settings of the node name no firmware folders. `enforcement` says whether its start gate
    stands, and `enforcement_reason` why it does not. A node is `expected` when it was let in and its agent
    has not come yet. `version` is that of the agent, `profile` is how the agent measures, and `hypervisor` is
    the node's libvirt; all are null for agents of versions that do not report them. `outdated` says that the
    agent is of an earlier version than this API.
    """

    id: Id
    hostname: str
    active: bool
    reachable: bool
    last_seen: Date | None
    registered_at: Date
    public_key: str
    keyid: str
    swept_at: Date | None
    counts: dict[str, int]
    firmware: Firmware | None
    enforcement: Gate
    enforcement_reason: str | None
    expected: bool
    version: str | None
    profile: str | None
    hypervisor: str | None
    outdated: bool


class NodeAnswer(msgspec.Struct, frozen=True):
    """A node."""

    node: Node


class NodeList(msgspec.Struct, frozen=True):
    """Nodes by ascending id."""

    nodes: list[Node]


class Nodes:
    """`/node`, `/node/{node_id}`, and `/sign/node/{node_id}/action` as the seed has it."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        action = "/sign/node/{node_id}/action"
        done = {200: Answer(ActionAnswer, links=TASK)}
        acts = Rule("node:action", "Switch validation of a node on or off.", CHANGES)
        return [
            Operation(
                "GET",
                "/node",
                self.list,
                {200: Answer(NodeList)},
                rule=Rule("node:list", "List the nodes.", LOOKS),
                query=(OUTDATED,),
            ),
            Operation(
                "GET",
                "/node/{node_id}",
                self.show,
                {200: Answer(NodeAnswer)},
                rule=Rule("node:show", "Show a node.", LOOKS),
                refuses=UNKNOWN,
            ),
            Operation(
                "PUT",
                "/node/{node_id}/firmware",
                self.accept,
                {200: Answer(NodeAnswer)},
                rule=Rule("node:accept-firmware", "Accept the firmware files that a node found.", CHANGES),
                body=Accepted,
                refuses={404: (*UNKNOWN[404], "node.firmware-unknown"), 409: ("node.firmware-changed",)},
            ),
            Operation("POST", action, self.act, done, rule=acts, body=Action, refuses=UNKNOWN),
            Operation("GET", action, self.act, done, rule=acts, body=Action, refuses=UNKNOWN, changes=True),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the nodes by ascending id; with `outdated=true` those whose agents are to be upgraded."""
        outdated = req.context.query.get(OUTDATED)
        seen = self.services.leases.seen()
        with self.services.projections.reading() as tables:
            rows = self.services.projections.nodes.all(tables)
        nodes = [_shown(row, seen.get(row.hostname)) for row in rows]
        wanted = [node for node in nodes if outdated in {None, str(node.outdated).lower()}]
        answer(resp, NodeList(wanted))

    def show(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Show a node."""
        del req
        row = self.found(node_id)
        answer(resp, NodeAnswer(_shown(row, self.services.leases.seen().get(row.hostname))))

    def act(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Switch validation of a node on or off. The task has the outcome."""
        action = req.context.body.action
        node = self.found(node_id)
        kind = ask.ActivateNode if action == "activate" else ask.DeactivateNode
        command = kind(
            context=context_of(req, task_id := self.services.task_id()),
            hostname=node.hostname,
        )
        self.services.carry_out(command)
        answer(resp, ActionAnswer(action, node.node_id, success=True, task_id=task_id))

    def accept(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Accept the firmware files that a node found."""
        command = ask.AcceptFirmware(
            context=context_of(req),
            hostname=self.found(node_id).hostname,
            digest=req.context.body.digest,
        )
        self.services.carry_out(command)
        self.show(req, resp, node_id)

    def named(self, hostname: str) -> NodeRow:
        """Return a node. Raises NotRegistered."""
        with self.services.projections.reading() as tables:
            row = self.services.projections.nodes.of(tables, hostname)
        if row is None:
            raise NotRegistered
        return row

    def found(self, node_id: int) -> NodeRow:
        """Return a node. Raises NotRegistered."""
        with self.services.projections.reading() as tables:
            row = self.services.projections.nodes.one(tables, node_id)
        if row is None:
            raise NotRegistered
        return row


def _shown(row: NodeRow, last_seen: datetime | None) -> Node:
    software, is_expected = row.software, row.expected and last_seen is None
    version = None if software is None else software.version
    return Node(
        row.node_id,
        row.hostname,
        row.active is True,
        not row.lost and last_seen is not None,
        rfc1123(last_seen),
        date(row.registered_at),
        row.public_key,
        keyid(public_key(row.public_key)),
        rfc1123(row.swept_at),
        row.counts,
        None if row.firmware is None else _firmware(row.firmware),
        row.enforcement,
        row.enforcement_reason,
        is_expected,
        version,
        None if software is None else software.profile,
        None if software is None else software.hypervisor,
        not is_expected and is_older(version, own()),
    )


def _firmware(row: FirmwareRow) -> Firmware:
    return Firmware("false" if row.findings else "true", row.digest, all_shown(row.findings))
