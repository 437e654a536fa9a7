"""`make schemas`: writes the tables that docs take from the code.

They are those of settings in README.md and docs/openstack.md, and those of the profile in docs/profile.md,
and those of findings and reasons in docs/findings.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.cli.documents.settings import table
from sealward.events.findings.code import FINDINGS
from sealward.events.findings.reason import OF_OBJECTIONS, OF_VERDICTS
from sealward.node_agent.measuring import profile
from sealward.node_agent.measuring.classes import BLANKED, BOUND, IDENTIFYING, LEFT_OUT
from sealward.node_agent.measuring.starting import start_rules
from sealward.settings import Keystone, Settings
from sealward.settings.declared import declared_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.node_agent.measuring.classes import Part

ROOT: Final = Path(__file__).parent.parent
TABLE: Final = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- end -->)", re.DOTALL)
TABLES: Final = {ROOT / "README.md": Settings, ROOT / "docs/openstack.md": Keystone}


def written(page: Path) -> str:
    """Return the text of a page with its table of settings as the code declares them."""
    settings = table(declared_by(TABLES[page]))
    text, tables = TABLE.subn(lambda _: settings, page.read_text(encoding="utf-8"))
    if tables != 1:
        raise ValueError(f"{page}: {tables} tables of settings, expected 1")
    return text


PROFILE: Final = ROOT / "docs/profile.md"


def profile_page() -> str:
    """Return the text of docs/profile.md with its tables as the code has them."""
    tables = {
        "left out": _parts(LEFT_OUT),
        "assigned": _head("path", "values")
        + _rows((one.xpath, _names(one.attributes), one.why) for one in BLANKED),
        "bound": _bound(),
        "started": _rules(),
        "sections": _sections(),
    }
    return _with_tables(PROFILE, tables)


FINDINGS_PAGE: Final = ROOT / "docs/findings.md"


def findings_page() -> str:
    """Return the text of docs/findings.md with its tables as the registry has them."""
    head = "| means | what to do |\n|---|---|---|---|\n"
    tables = {
        "findings": f"| code | class {head}"
        + "".join(
            f"| `{one.code}` | {one.kind} | {_cell(one.means)} | {_cell(one.to_do)} |\n"
            for one in FINDINGS.values()
        ),
        "reasons": f"| reason | verdict {head}"
        + "".join(
            f"| `{one.code}` | {one.verdict} | {_cell(one.means)} | {_cell(one.to_do)} |\n"
            for one in OF_VERDICTS.values()
        ),
        "objections": "| reason | means | what to do |\n|---|---|---|\n"
        + _rows((one.code, one.means, one.to_do) for one in OF_OBJECTIONS.values()),
    }
    return _with_tables(FINDINGS_PAGE, tables)


def _with_tables(page: Path, tables: dict[str, str]) -> str:
    """Return the text of a page with these tables, each between `<!-- NAME -->` and `<!-- end -->`."""
    text = page.read_text(encoding="utf-8")
    for name, table_of in tables.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (start and end):
            raise ValueError(f"{page}: no table of {name}")
        text = f"{before}{start}{table_of}{end}{after}"
    return text


def _rows(rows: Iterable[tuple[str, str, str]]) -> str:
    return "".join(f"| `{_cell(xpath)}` | {_cell(word)} | {_cell(why)} |\n" for xpath, word, why in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _parts(parts: Iterable[Part]) -> str:
    return _head("path", "class") + _rows(
        (xpath, part.kind, part.why) for part in parts for xpath in part.xpaths
    )


def _bound() -> str:
    return _head("path", "which one") + _rows(
        (xpath, "yes" if xpath in IDENTIFYING else "", part.why) for part in BOUND for xpath in part.xpaths
    )


def _rules() -> str:
    tables = (
        ("added", start_rules.ADDED),
        ("changed", start_rules.CHANGED),
        ("missing", start_rules.REMOVED),
    )
    return _head("path", "class") + _rows(
        (place, f"{'completes' if rule.recorded else rule.kind}, {word}", rule.why)
        for word, rules in tables
        for place, rule in rules.items()
    )


def _sections() -> str:
    elements = (*profile.ELEMENT_SECTIONS.items(), *_devices())
    return "| section | elements |\n|---|---|\n" + "".join(
        f"| {section} | {', '.join(f'`{name}`' for name, home in elements if home == section) or '-'} |\n"
        for section in profile.SECTIONS
    )


def _devices() -> Iterator[tuple[str, str]]:
    for name, section in profile.DEVICE_SECTIONS.items():
        yield f"devices/{name}", section


def _head(first: str, second: str) -> str:
    return f"| {first} | {second} | why |\n|---|---|---|\n"


if __name__ == "__main__":
    PROFILE.write_text(profile_page(), encoding="utf-8")
    FINDINGS_PAGE.write_text(findings_page(), encoding="utf-8")
    for page in TABLES:
        page.write_text(written(page), encoding="utf-8")
