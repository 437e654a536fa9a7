"""Somebody's text in a line of the log: it begins no line of its own, and is never lost."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward import logs
from sealward.characters import escaped

HOSTILE = st.text(st.characters(exclude_categories=()) | st.sampled_from("\n\r\x1b\x85\u2028\u202e\ud800\0"))


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_message_is_one_line_whatever_it_says(form: str) -> None:
    """Also its ids; and an exception's text begins no line as a message does."""

    @given(HOSTILE)
    def holds(text: str) -> None:
        stream = io.StringIO()
        logs.set_up(form, "info", stream)
        with logs.about(actor=text):
            logging.getLogger("sealward.tests").info("%s", text)
            logging.getLogger("sealward.tests").error("failed", exc_info=ValueError(text))
        lines = stream.getvalue().splitlines()
        begun = [one for one in lines if not one.startswith((" ", "\t"))]

        assert len(begun) == 2
        assert all(one.isprintable() for one in lines) or form == "json"
        if form == "json":
            assert all(json.loads(one)["logger"] == "sealward.tests" for one in lines)

    holds()


@given(HOSTILE, st.integers(8, 300))
def test_an_escaped_text_is_one_line_of_so_many_bytes(text: str, most: int) -> None:
    """Each forged character is escaped; harmless text stays as it was."""
    shown = escaped(text, most)

    assert len(shown.encode()) <= most
    assert len(shown.splitlines()) <= 1
    assert escaped(shown, most) == shown
