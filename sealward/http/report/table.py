"""The report as CSV (RFC 4180): a row for each finding, or for each reason of a server without findings."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from sealward.events.verdict import NEVER
from sealward.http.report.grouping import code_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.events.verdict import Verdict
    from sealward.projections.signs import SignRow

COLUMNS: Final = (
    "is_valid",
    "reason",
    "code",
    "section",
    "xpath",
    "signed",
    "found",
    "form",
    "server_id",
    "instance_name",
    "node_id",
    "hostname",
    "checked_at",
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets take for a formula (https://owasp.org/www-community/attacks/CSV_Injection).

Users of a cloud choose names and paths of servers.
"""


def head() -> bytes:
    """Return the row of titles."""
    return _text([COLUMNS])


def rows(servers: Iterable[tuple[SignRow, Verdict]], hostnames: dict[int, str]) -> bytes:
    """Return the rows of servers."""
    return _text(line for row, verdict in servers for line in _of(row, verdict, hostnames))


def _of(row: SignRow, verdict: Verdict, hostnames: dict[int, str]) -> Iterator[tuple[object, ...]]:
    reasons = ";".join(verdict.reasons)
    checked = "" if verdict.checked_at == NEVER else verdict.checked_at.isoformat()
    server = (
        row.server_id,
        _cell(row.instance_name),
        row.node_id,
        _cell(hostnames.get(row.node_id, "")),
        checked,
    )
    for one in verdict.findings:
        what = (code_of(one), one.section, one.xpath, one.signed or "", one.found or "", one.form)
        yield (verdict.is_valid.value, reasons, *map(_cell, what), *server)
    if not verdict.findings:
        for reason in verdict.reasons:
            yield (verdict.is_valid.value, _cell(reason), *[""] * 6, *server)


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _text(lines: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
