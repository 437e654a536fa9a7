"""The verdicts: the state of a signed server, its reasons and reference, and how to have it measured now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import NotSigned
from sealward.events.findings.reason import OF_VERDICTS
from sealward.events.findings.shown import Finding, all_shown
from sealward.events.is_valid import IsValid  # noqa: TC001 - the answer's form is read off the annotations
from sealward.http.auth.access import CHANGES, LOOKS, PROOF, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import Date, Position, Uuid, answer, rfc1123
from sealward.http.operation.errors import Problem
from sealward.http.operation.etag import is_known, verdict_tag
from sealward.http.operation.operation import OF_A_SIGN, PAST_BUSY, TASK, Answer, Operation
from sealward.http.operation.parameter import AT
from sealward.http.sign import found

if TYPE_CHECKING:
    from sealward.events.store.round_trip import Prefetch
    from sealward.http.services import Services


ReasonCode = Annotated[
    str,
    msgspec.Meta(
        description="A reason of docs/findings.md. Agents of a later version can give further reasons.",
        extra_json_schema={"examples": sorted(OF_VERDICTS)},
    ),
]


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on a signed server. `generation` is the reference in force, 0 before the first seal.

    `claimed_by` has the hostnames of other nodes that report that they run the server.
    """

    server_id: Uuid
    is_valid: IsValid
    reasons: tuple[ReasonCode, ...]
    findings: tuple[Finding, ...]
    checked_at: Date | None
    fresh_until: Date | None
    generation: Position
    claimed_by: tuple[str, ...]


class VerdictAnswer(msgspec.Struct, frozen=True):
    """A verdict."""

    verdict: Verdict


class Signature(msgspec.Struct, frozen=True):
    """A signature over the payload, by the key of that id."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A DSSE envelope (v1) over an in-toto statement."""

    payload: str
    payload_type: str
    signatures: list[Signature]


class Requested(msgspec.Struct, frozen=True):
    """A request that was accepted. GET the task to see its outcome."""

    server_id: Uuid
    task_id: Uuid


class Verdicts:
    """`/sign/{server_id}/verdict`, `/envelope` and `/validate`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/sign/{server_id}/verdict",
                self.show,
                {200: Answer(VerdictAnswer, headers=("ETag",)), 304: Answer(headers=("ETag",))},
                rule=Rule("sign:verdict", "Show a verdict with reasons and findings.", LOOKS),
                query=(AT,),
                headers=("If-None-Match",),
                refuses=OF_A_SIGN | PAST_BUSY,
                reads=self._prefetch,
            ),
            Operation(
                "GET",
                "/sign/{server_id}/envelope",
                self.envelope,
                {200: Answer(Envelope)},
                rule=Rule("sign:envelope", "Show the reference in force.", PROOF),
                query=(AT,),
                refuses=OF_A_SIGN | PAST_BUSY | {404: ("sign.not-found", "sign.not-sealed")},
            ),
            Operation(
                "POST",
                "/sign/{server_id}/validate",
                self.validate,
                {202: Answer(Requested, headers=("Location",), links=TASK)},
                rule=Rule("sign:validate", "Have a server measured now.", CHANGES),
                refuses=OF_A_SIGN,
            ),
        ]

    def show(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the verdict with its reasons and findings."""
        row, now = found(self._services, req, server_id)
        if is_known(req, resp, verdict_tag(row, now)):
            return
        verdict = row.verdict_at(now)
        known = Verdict(
            row.server_id,
            verdict.is_valid,
            verdict.reasons,
            all_shown(verdict.findings),
            rfc1123(verdict.checked_at),
            rfc1123(verdict.fresh_until),
            row.sealed,
            tuple(one.by for one in verdict.claims),
        )
        answer(resp, VerdictAnswer(known))

    def _prefetch(self, server_id: str) -> Prefetch | None:
        return self._services.sign_prefetch(server_id)

    def envelope(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the reference in force: the DSSE envelope signed by node and authority."""
        with self._services.signs_at(req.context.query.get(AT)) as (signs, tables, _):
            row = signs.one(tables, server_id)
            envelope = self._services.projections.envelopes.one(tables, server_id)
        if row is None:
            raise NotSigned
        if envelope is None:
            message = "The node has not measured this server yet; GET …/verdict says more."
            raise Problem(404, "sign.not-sealed", message)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = envelope.encode()

    def validate(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Have a server measured and compared now."""
        command = ask.RequestValidation(
            context=context_of(req, task_id := self._services.task_id()),
            server_id=server_id,
        )
        self._services.carry_out(command)
        resp.status = falcon.HTTP_202
        resp.set_header("Location", f"/v1/task/{task_id}")
        answer(resp, Requested(server_id, task_id))
