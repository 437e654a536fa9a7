"""The list of mutations fits the code: each text stands where the list says, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.file}: {one.text[:30]}")
def test_a_mutation_can_be_tried(mutation: Mutation) -> None:
    """After a change of the rule, choose another small change of it in tests/mutations.py."""
    found = (ROOT / "sealward" / mutation.file).read_text()
    tests = [ROOT / "tests" / one for one in mutation.tests.split()]

    assert found.count(mutation.text) == 1
    assert [one for one in tests if not one.exists()] == []


def test_there_are_forty_or_more() -> None:
    """And none stands twice."""
    assert len(set(MUTATIONS)) == len(MUTATIONS) >= 40
