"""The report: all servers that are false or unknown, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events.findings.code import FINDINGS as CODES
from sealward.events.findings.reason import OF_VERDICTS
from sealward.events.findings.shown import Finding, all_shown
from sealward.events.is_valid import IsValid
from sealward.http.auth.access import LOOKS, Rule
from sealward.http.operation.answer import Date, Id, Time, Uuid, answer, rfc1123
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import NODE_ID, Query, choice, whole, word
from sealward.http.report import table
from sealward.http.report.grouping import By, Group, Grouping, Named, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import falcon

    from sealward.events.comparison.measurement import Finding as Bare
    from sealward.events.verdict import Verdict
    from sealward.http.services import Services
    from sealward.projections.signs import SignRow
    from sealward.projections.store.tables import Tables

CSV: Final = "text/csv"
PAGE: Final = 1000
"""Rows that are read at a time."""
GROUPS: Final = 1000
"""Groups that are shown, at most."""
NAMED: Final = 20
"""Servers that a group names, unless the request says how many."""
MOST_NAMED: Final = 1000
FINDINGS: Final = 20
"""Findings that are shown of a server, at most. GET /v1/sign/{server_id}/verdict shows all of them."""

BY: Final = choice("by", tuple(By), "What the servers of a group have in common: `reason` unless given.")
IS_VALID: Final = choice("is_valid", ("false", "unknown"), "Only servers of that verdict.")
REASON: Final = word("reason", "Only servers with that reason.")
SECTION: Final = word("section", "Only servers with a finding in that section.")
SERVERS: Final = whole(
    "servers", f"How many servers each group names: {NAMED} when it is not given, at most {MOST_NAMED}."
)


class Member(msgspec.Struct, frozen=True):
    """A server of a group. `findings` are the first of those that the group is about."""

    server_id: Uuid
    instance_name: str
    node_id: Id
    hostname: str
    is_valid: IsValid
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    checked_at: Date | None


class ReportedGroup(msgspec.Struct, frozen=True):
    """The servers with one reason, code, finding or section, or on one node.

    `name` is the reason, the code or XPath of the finding, the section or the hostname. `section` is null for
    reasons, codes and nodes. `means` and `to_do` are those of docs/findings.md, for reasons and codes.
    `servers` counts all servers of the group; `members` are the first of them.
    """

    name: str
    section: str | None
    means: str | None
    to_do: str | None
    servers: int
    false: int
    unknown: int
    nodes: int
    members: list[Member]


class Report(msgspec.Struct, frozen=True):
    """All servers that are false or unknown, in groups; a server can be in several groups.

    `servers` counts the servers of the report. `left` counts the groups that are not shown; of more than
    10,000 groups; all further groups are shown as one group.
    """

    at: Time
    by: By
    servers: int
    false: int
    unknown: int
    groups: list[ReportedGroup]
    left: int


class ReportAnswer(msgspec.Struct, frozen=True):
    """A report."""

    report: Report


@dataclass(frozen=True, slots=True)
class Wanted:
    """The servers that a client wants; None stands for all."""

    is_valid: str | None
    node_id: int | None
    reason: str | None
    section: str | None

    def wants(self, verdict: Verdict) -> bool:
        """Return whether a server with that verdict is wanted."""
        return (self.reason is None or self.reason in verdict.reasons) and (
            self.section is None or any(one.section == self.section for one in verdict.findings)
        )


class Reports:
    """`/report`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/report",
                self.show,
                {200: Answer(ReportAnswer, also=CSV)},
                rule=Rule("report:show", "Show all servers that are false or unknown, and why.", LOOKS),
                query=(BY, IS_VALID, NODE_ID, REASON, SECTION, SERVERS),
            )
        ]

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show all servers that are false or unknown, in groups; as text/csv with a row for each finding."""
        query: Query = req.context.query
        wanted = Wanted(query.get(IS_VALID), query.get(NODE_ID), query.get(REASON), query.get(SECTION))
        if CSV in (req.accept or ""):
            resp.content_type = f"{CSV}; charset=utf-8"
            resp.set_header("Content-Disposition", 'attachment; filename="sealward-report.csv"')
            resp.stream = self._table(wanted, self._services.clock())
            return
        asked = query.get(SERVERS)
        named = min(NAMED if asked is None else asked, MOST_NAMED)
        answer(resp, ReportAnswer(self._report(wanted, By(query.get(BY) or By.REASON), named)))

    def _report(self, wanted: Wanted, by: By, named: int) -> Report:
        now = self._services.clock()
        numbers = {IsValid.FALSE: 0, IsValid.UNKNOWN: 0}
        with self._services.projections.snapshot() as tables:
            hostnames = self._hostnames(tables)
            grouping = Grouping(by, hostnames, named)
            for is_valid in _verdicts(wanted):
                after: int | None = 0
                while after is not None:
                    found, after = self._page(tables, wanted, is_valid, after, now)
                    numbers[is_valid] += len(found)
                    for row, verdict in found:
                        grouping.add(row, verdict)
        groups = grouping.sorted()
        return Report(
            now.isoformat(),
            by,
            sum(numbers.values()),
            numbers[IsValid.FALSE],
            numbers[IsValid.UNKNOWN],
            [_shown(one, hostnames) for one in groups[:GROUPS]],
            max(0, len(groups) - GROUPS) + grouping.is_cut,
        )

    def _table(self, wanted: Wanted, now: datetime) -> Iterator[bytes]:
        """Give the report as CSV, and hold no connection to the database between two pages."""
        yield table.head()
        for is_valid in _verdicts(wanted):
            after: int | None = 0
            while after is not None:
                with self._services.projections.reading() as tables:
                    hostnames = self._hostnames(tables)
                    found, after = self._page(tables, wanted, is_valid, after, now)
                yield table.rows(found, hostnames)

    def _page(
        self, tables: Tables, wanted: Wanted, is_valid: IsValid, after: int, now: datetime
    ) -> tuple[list[tuple[SignRow, Verdict]], int | None]:
        """Return the wanted servers of a page of rows, and where the next page begins: None at the end."""
        rows = self._services.projections.signs.page(
            tables, now=now, after=after, limit=PAGE, is_valid=is_valid, node_id=wanted.node_id
        )
        found = [(row, row.verdict_at(now)) for row in rows]
        beyond = rows[-1].sign_id if len(rows) == PAGE else None
        return [(row, verdict) for row, verdict in found if wanted.wants(verdict)], beyond

    def _hostnames(self, tables: Tables) -> dict[int, str]:
        return {node.node_id: node.hostname for node in self._services.projections.nodes.all(tables)}


def _verdicts(wanted: Wanted) -> tuple[IsValid, ...]:
    return (IsValid.FALSE, IsValid.UNKNOWN) if wanted.is_valid is None else (IsValid(wanted.is_valid),)


def _shown(group: Group, hostnames: dict[int, str]) -> ReportedGroup:
    known = OF_VERDICTS.get(group.named.name) or CODES.get(group.named.name)
    return ReportedGroup(
        group.named.name,
        group.named.section,
        None if known is None else known.means,
        None if known is None else known.to_do,
        group.servers,
        group.false,
        group.unknown,
        len(group.nodes),
        [_member(row, verdict, group, hostnames) for row, verdict in group.first],
    )


def _member(row: SignRow, verdict: Verdict, group: Group, hostnames: dict[int, str]) -> Member:
    findings = [one for one in verdict.findings if _is_about(one, group.named)]
    return Member(
        row.server_id,
        row.instance_name,
        row.node_id,
        hostnames.get(row.node_id, ""),
        verdict.is_valid,
        verdict.reasons,
        all_shown(findings[:FINDINGS]),
        rfc1123(verdict.checked_at),
    )


def _is_about(finding: Bare, named: Named) -> bool:
    """Return whether a group is about a finding: a reason or a node is about all findings of its servers."""
    if named.section is not None:
        return finding.section == named.section and named.name in {named.section, finding.xpath}
    return named.name not in CODES or code_of(finding) == named.name
