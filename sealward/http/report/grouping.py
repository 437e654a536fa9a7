"""Groups servers that are false or unknown: by reason, code, finding, section or node."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sealward.events.findings.coding import coded
from sealward.events.is_valid import IsValid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealward.events.comparison.measurement import Finding
    from sealward.events.verdict import Verdict
    from sealward.projections.signs import SignRow

MOST: Final = 10_000
"""The greatest number of groups that are counted. Nodes choose the text of findings, and so the groups."""


class By(StrEnum):
    """What the servers of a group have in common."""

    REASON = "reason"
    CODE = "code"
    FINDING = "finding"
    SECTION = "section"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a group: a reason, code, XPath, section or hostname; of an XPath its section, too."""

    name: str
    section: str | None = None


@dataclass(slots=True)
class Group:
    """The servers of a group: their numbers, and the first `limit` of them."""

    named: Named
    false: int = 0
    unknown: int = 0
    nodes: set[int] = field(default_factory=set)
    first: list[tuple[SignRow, Verdict]] = field(default_factory=list)

    @property
    def servers(self) -> int:
        """Return the number of servers."""
        return self.false + self.unknown

    def add(self, row: SignRow, verdict: Verdict, limit: int) -> None:
        """Add a server."""
        if verdict.is_valid is IsValid.FALSE:
            self.false += 1
        else:
            self.unknown += 1
        self.nodes.add(row.node_id)
        if len(self.first) < limit:
            self.first.append((row, verdict))


class Grouping:
    """Groups of servers. A server is in each group that its verdict names, once in each."""

    def __init__(self, by: By, hostnames: Mapping[int, str], limit: int) -> None:
        self._by = by
        self._hostnames = hostnames
        self._limit = limit
        self._groups: dict[Named, Group] = {}
        self.is_cut = False
        """Whether there are more groups than are counted."""

    def add(self, row: SignRow, verdict: Verdict) -> None:
        """Add a server to its groups."""
        for named in self._named(row, verdict):
            group = self._groups.get(named)
            if group is None and len(self._groups) >= MOST:
                self.is_cut = True
                continue
            if group is None:
                group = self._groups[named] = Group(named)
            group.add(row, verdict, self._limit)

    def sorted(self) -> list[Group]:
        """Return the groups, those with the most servers first."""
        return sorted(
            self._groups.values(),
            key=lambda group: (-group.servers, group.named.section or "", group.named.name),
        )

    def _named(self, row: SignRow, verdict: Verdict) -> Iterable[Named]:
        """Return the groups of a server. A server without findings is grouped by reason instead."""
        reasons = [Named(reason) for reason in dict.fromkeys(verdict.reasons)]
        match self._by:
            case By.NODE:
                return [Named(self._hostnames.get(row.node_id, str(row.node_id)))]
            case By.CODE:
                return dict.fromkeys(Named(code_of(one)) for one in verdict.findings) or reasons
            case By.FINDING:
                return dict.fromkeys(Named(one.xpath, one.section) for one in verdict.findings) or reasons
            case By.SECTION:
                return dict.fromkeys(Named(one.section, one.section) for one in verdict.findings) or reasons
            case By.REASON:
                return reasons


def code_of(finding: Finding) -> str:
    """Return the code of a finding in the registry. A finding of an event of before gets its code here."""
    return finding.code or coded(finding).code or ""
