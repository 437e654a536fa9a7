"""A finding as the API and events show it: with its code, its class and its sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sealward.events.findings.code import FINDINGS
from sealward.events.findings.coding import coded
from sealward.events.findings.kind import Kind
from sealward.events.findings.sentence import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.comparison.measurement import Finding as Bare

FindingCode = Annotated[
    str,
    msgspec.Meta(
        description="A code of docs/findings.md. A later version can have further codes.",
        extra_json_schema={"examples": sorted(FINDINGS)},
    ),
]


class Finding(msgspec.Struct, frozen=True, rename={"kind": "class"}, omit_defaults=False):
    """A difference: its place, the signed and the found value; a value is null where the part is absent.

    `code` is stable, and docs/findings.md says what it means and what to do. `class` is the class of the part
    that differs (docs/profile.md). `message` is a sentence for people. `form` says which XML shows the
    difference: config (the definition), live (the running form) or started (what a start decided).
    """

    section: str
    xpath: str
    signed: str | None
    found: str | None
    form: str
    code: FindingCode
    kind: Kind
    message: str


def shown(finding: Bare) -> Finding:
    """Return a finding as it is shown. A finding of an event of before gets its code here."""
    one = finding if finding.code else coded(finding)
    known = FINDINGS.get(one.code or "")
    kind = Kind.CONFIGURATION if known is None else known.kind
    return Finding(
        one.section, one.xpath, one.signed, one.found, one.form, one.code or "", kind, sentence(one)
    )


def all_shown(findings: Iterable[Bare]) -> tuple[Finding, ...]:
    """Return findings as they are shown."""
    return tuple(map(shown, findings))
