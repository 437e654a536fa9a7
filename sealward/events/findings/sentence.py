"""The sentence of a finding: the difference in one line, for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.events.comparison.measurement import LIVE, STARTED
from sealward.events.findings import code
from sealward.events.findings.coding import meaning_of
from sealward.events.findings.marks import MASK
from sealward.events.findings.subject import steps_of, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.events.comparison.measurement import Finding
    from sealward.events.findings.meaning import Meaning

READABLE: Final = frozenset(("network-link", "pool-place", "volume"))
"""The kinds of objects of which a measurement has words or a path, and no digest."""
LONGEST: Final = 500
"""Bytes of a sentence, at most."""
_LONGEST_VALUE: Final = 120
_VALUES: Final = re.compile(r'="([^"]*)"')
_TEXT: Final = re.compile(r"<[^<>]*>([^<>]+)</[^<>]*>")
"""An element that has a text and no children, as findings show it."""
_IN_DEVICES: Final = 4
"""The steps of a path to a device: "", domain, devices, the device."""
_RUNNING: Final = " in the running server"


def sentence(finding: Finding) -> str:
    """Return the sentence of a finding, without control characters and at most LONGEST bytes long."""
    return escaped(f"{_said(finding, meaning_of(finding))}.", LONGEST)


def _said(finding: Finding, meaning: Meaning) -> str:
    say = _SAYINGS.get(meaning.code)
    return _of_part(finding, meaning) if say is None else say(finding, meaning)


def _plainly(_finding: Finding, meaning: Meaning) -> str:
    return meaning.means


def _with_section(finding: Finding, meaning: Meaning) -> str:
    return f"{meaning.means}: section {finding.section}"


def _with_name(finding: Finding, meaning: Meaning) -> str:
    about = f"{meaning.means}: {finding.xpath.partition('/')[2].partition('/')[2]}"
    if finding.xpath.split("/")[1] not in READABLE:
        return about
    return f"{about} is {_shown(finding.found)}, and was signed as {_shown(finding.signed)}"


def _with_identities(finding: Finding, meaning: Meaning) -> str:
    place = finding.xpath.partition("/")[2].partition("/")[2]
    return f"{meaning.means}: {place} is {_shown(finding.found)}, and was signed as {_shown(finding.signed)}"


def _with_path(finding: Finding, meaning: Meaning) -> str:
    return f"{meaning.means}: {finding.xpath}"


def _with_place(finding: Finding, meaning: Meaning) -> str:
    return f"{meaning.means}{_at(finding)}"


def _with_value(finding: Finding, meaning: Meaning) -> str:
    return f"{meaning.means}: {finding.found}{_at(finding)}"


def _with_owner(finding: Finding, meaning: Meaning) -> str:
    return f"{meaning.means}: {finding.found} {finding.signed}"


def _with_nodes(finding: Finding, _meaning: Meaning) -> str:
    return f"Node {finding.found} says that it runs the server, which is on node {finding.signed}"


_SAYINGS: Final[Mapping[str, Callable[[Finding, Meaning], str]]] = {
    **dict.fromkeys((code.SECTION.code, code.UNREADABLE.code), _with_section),
    **dict.fromkeys((one.code for one in (*code.NAMED.values(), code.NAMED_OTHER)), _with_name),
    **dict.fromkeys((one.code for one in (*code.EXCHANGED.values(), code.EXCHANGED_OTHER)), _with_identities),
    code.DEVICE_LOST.code: _with_name,
    **dict.fromkeys((one.code for one in (*code.TAINTS.values(), *code.DOORS.values())), _with_place),
    **dict.fromkeys((one.code for one in code.FIRMWARE.values()), _with_path),
    **dict.fromkeys((code.TAINT.code, code.DOOR.code), _with_value),
    **dict.fromkeys((code.BOUND_UNEXPLAINED.code, code.REDEFINED.code), _plainly),
    code.OWNED.code: _with_owner,
    code.CLAIMED.code: _with_nodes,
}
"""How a finding is said that is not about a part of the domain, by code."""


def _at(finding: Finding) -> str:
    """Return the place of a door: the device that it is at."""
    return "" if finding.xpath == "/domain" else f" ({finding.xpath})"


def _of_part(finding: Finding, meaning: Meaning) -> str:
    owner, rest = _owner(finding)
    where = _RUNNING if finding.form == LIVE else ""
    if finding.xpath.endswith("/position()"):
        about = f"{owner}: {rest}" if rest else owner
        return f"{about} stands at place {finding.found}{where}, and was signed at place {finding.signed}"
    if meaning is code.MASKED:
        return f"{owner}: {rest or 'a value'} changed{where}; the value is masked ({MASK})"
    if finding.form == STARTED:
        return f"{owner}: the start decided that {rest or 'it'} is {_shown(finding.found)}"
    about = f"{owner}: {rest}" if rest else owner
    if finding.signed is None and _is_element(finding.found):
        return f"{about} is there{where} and was not signed"
    if finding.found is None and _is_element(finding.signed):
        return f"{about} was signed and is gone{where}"
    return f"{about} is {_shown(finding.found)}{where}, and was signed as {_shown(finding.signed)}"


def _is_element(value: str | None) -> bool:
    return value is not None and value.startswith("<")


def _owner(finding: Finding) -> tuple[str, str]:
    """Return the name of the part that a finding is about, and the words for the place below that part."""
    steps = steps_of(finding.xpath)
    if steps[:3] == ("", "domain", "files"):
        return _named("File", steps[3:4]), _words(steps[4:])
    subject = subject_of(finding.section, finding.xpath)
    if steps[2:3] == ("devices",):
        return _named(subject.noun, steps[3:4]), _words(steps[_IN_DEVICES:])
    return subject.noun, _words(steps[2:])


def _named(noun: str, steps: tuple[str, ...]) -> str:
    """Return a noun with the values that tell the device from others of its kind: `Disk vda`."""
    values = _VALUES.findall(steps[0]) if steps else []
    return " ".join((noun, *values))


def _words(steps: tuple[str, ...]) -> str:
    """Return a path below a part in words: `source/@file` is `source file`."""
    plain = (
        " ".join((step.partition("[")[0].lstrip("@"), *_VALUES.findall(step)))
        for step in steps
        if step not in {"text()", "position()"}
    )
    return " ".join(plain)


def _shown(value: str | None) -> str:
    """Return a value in quotes, and of an element that has only a text the text."""
    if value is None:
        return "absent"
    text = _TEXT.fullmatch(value)
    said = value if text is None else text[1]
    return f"'{said}'" if len(said) <= _LONGEST_VALUE else f"'{said[: _LONGEST_VALUE - 1]}…'"
