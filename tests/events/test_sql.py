"""Named blocks of SQL."""

from __future__ import annotations

from sealward.events.store.sql import blocks


def test_a_comment_is_no_part_of_a_statement() -> None:
    """A question mark in a comment was a placeholder on PostgreSQL: no message could be refused there."""
    found = blocks("sealward.control", "control.sql")

    assert found
    assert not [name for name, text in found.items() if "--" in text]
    assert found["forget-unproven"].count("?") == 1
