"""Parses request lines and headers as waitress does, but for inputs on which its regular expressions hang.

Measured on waitress 3.0.2: `GET a://111… x` with 8,000 digits takes 13 s, a header of 30,000 blanks before a
wrong byte 14 s, and 32 KiB of either some minutes, in the one thread that serves all connections. Both times
grow with the square of the length when a line does not match.

A request that states the length of its body twice is refused, and the connection ends. waitress goes by the
chunks. A proxy in front of it that goes by the other length would take the bytes after the body for another
request (RFC 9112, sections 6.1 and 11.2).
"""

from __future__ import annotations

import re
from typing import Final

from waitress.parser import HTTPRequestParser, ParsingError

VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
BLANK: Final = re.compile(rb"\r\n[ \t]|[ \t]{64}")
"""A header that continues in the next line (RFC 9112, 5.2), or more blanks than any header needs."""
CODING: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)
LENGTH: Final = re.compile(rb"\r\ncontent-length[ \t]*:", re.IGNORECASE)
"""The two headers that state the length of a body."""
WORDS: Final = (2, 3)
"""Words of a request line: method, target and, since HTTP/1.0, the version."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Parses a request."""

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers. Raises waitress's ParsingError."""
        words = header_plus[: header_plus.find(b"\r\n")].rstrip().split(b" ")
        if len(words) not in WORDS or not all(words) or not VERSION.fullmatch((*words, b"HTTP/1.0")[2]):
            raise ParsingError("Start line is invalid")
        if BLANK.search(header_plus):
            raise ParsingError("A header goes on in the next line, or has too many blanks")
        codings = CODING.findall(header_plus)
        if codings and (words[-1] != b"HTTP/1.1" or not _is_plain(codings) or LENGTH.search(header_plus)):
            raise ParsingError("The length of the body is said twice")
        try:
            super().parse_header(header_plus)
        except ValueError as refused:
            raise ParsingError("Bad URI") from refused


def _is_plain(codings: list[bytes]) -> bool:
    """Return whether the body is chunked at most once. waitress checks the names of the codings."""
    return b",".join(codings).lower().count(b"chunked") <= 1
