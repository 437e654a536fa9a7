"""docs/profile.md has the tables that the code has."""

from __future__ import annotations

from stack.tables import PROFILE, profile_page


def test_the_tables_are_those_of_the_code() -> None:
    """`make schemas` writes them; a part that was classed and not written fails here."""
    assert PROFILE.read_text(encoding="utf-8") == profile_page()
