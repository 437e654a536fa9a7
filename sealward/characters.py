"""Characters that a line of text must not have, and how text from outside is shown without them.

A terminal, a line of a log, PostgreSQL (NUL), JSON and UTF-8 (lone surrogates) each refuse or misread some of
these characters. https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters lists the characters
for text direction.
"""

from __future__ import annotations

import re
from typing import Final

CONTROL: Final = (
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: also NUL, line feed, escape, next line
    r"\u2028\u2029"  # line and paragraph separator
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # characters that change the direction of text
    r"\ud800-\udfff"  # lone surrogates, which UTF-8 has no bytes for
)
"""The inside of a character class of a regular expression."""
_CONTROL: Final = re.compile(f"[{CONTROL}]")
_CUT: Final = "…"


def escaped(text: str, most: int | None = None) -> str:
    r"""Return the text as one line: control characters as `\n`, `\x1b` or `\u202e`, and cut to `most` bytes.

    `most` counts bytes of UTF-8; a text that was cut ends with an ellipsis.
    """
    if not text.isprintable():
        text = _CONTROL.sub(_escape, text)
    if most is None or len(text) * 4 <= most:
        return text
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - len(_CUT.encode())].decode(errors="ignore") + _CUT


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
