"""Ids as ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.wire.ranges import RangesRefused, parse, render


@given(st.sets(st.integers(1, 60)))
def test_what_is_rendered_is_what_is_parsed(ids: set[int]) -> None:
    """The ranges hold exactly the ids."""
    spans = parse(render(ids))

    assert ids == {one for span in spans for one in span}


def test_a_run_of_ids_is_one_range() -> None:
    """A thousand neighbours are a few characters."""
    assert render([*range(1, 999), 1000]) == "1-998,1000"
    assert render([]) == ""


@pytest.mark.parametrize("text", ["a", "-1", "1-", "3-2", "2,1", "1,,2", "1-3,3", "0", "1,2", "²", "1-2-3"])
def test_what_is_no_ascending_list_is_refused(text: str) -> None:
    """A text has one spelling, or it is refused."""
    with pytest.raises(RangesRefused):
        parse(text)
