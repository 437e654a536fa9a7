"""The steps of an XPath, against a reading of it character by character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealward.events.findings.subject import steps_of


def _one_by_one(xpath: str) -> tuple[str, ...]:
    steps, depth, quoted = [""], 0, False
    for character in xpath:
        quoted ^= character == '"'
        if not quoted:
            depth += (character == "[") - (character == "]")
        if character == "/" and not depth and not quoted:
            steps.append("")
        else:
            steps[-1] += character
    return tuple(steps)


@given(st.text('/"[]ab@', max_size=40))
def test_a_slash_in_a_condition_or_in_quotes_separates_nothing(xpath: str) -> None:
    """For any text, also for conditions that are never closed."""
    assert steps_of(xpath) == _one_by_one(xpath)


def test_the_steps_of_a_device() -> None:
    """The condition stays with its step."""
    path = '/domain/devices/disk[target/@dev="vda"]/source/@file'

    assert steps_of(path) == ("", "domain", "devices", 'disk[target/@dev="vda"]', "source", "@file")
