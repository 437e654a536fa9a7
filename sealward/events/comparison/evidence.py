"""The files of a reference that does not list its files itself, read from its evidence.

A reference that was sealed by an earlier version has only the digest of all its files together. Its evidence
lists each file: deflated XML, written by the node and countersigned by the authority.
"""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from sealward.events.comparison.files import ALL, Listing, listed
from sealward.events.comparison.measurement import CONFIG, FILES, LIVE

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of inflated evidence that are read."""
MASK: Final = "***"
"""The text that replaces a masked value in evidence."""
UNLISTED: Final = "files-unlisted"
"""The reason's code for files that the evidence of a reference does not list."""


def with_files(measurement: Measurement, evidence: bytes) -> Measurement:
    """Return the measurement of a reference with its files listed, from the evidence if needed.

    A reference that was signed without files stays without a listing. When the evidence cannot be read, all
    files count as unread.
    """
    if measurement.files or FILES not in measurement.sections:
        return measurement
    parser = _FilesParser()
    with contextlib.suppress(expat.ExpatError, zlib.error, ValueError):
        parser.feed(_inflated(evidence))
    forms = (CONFIG, LIVE) if FILES in measurement.live else (CONFIG,)
    files = {form: _listing(parser.found.get(form)) for form in forms if form not in parser.unmeasured}
    return replace(measurement, files=files)


def _inflated(evidence: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(evidence, MAX_BYTES)
    if not inflater.eof:
        raise ValueError("more than is read")
    return text


def _listing(found: list[dict[str, str]] | None) -> Listing:
    """Return the listing of the files found.

    All files are unread when the evidence lists no files, or has a masked value in its list.
    """
    if found is None or any(MASK in value for attributes in found for value in attributes.values()):
        return Listing({}, {ALL: UNLISTED})
    return listed(found)


class _FilesParser:
    """Collects the attributes of each `<file>` by form, and which forms were measured without files."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, str]]] = {}
        self.unmeasured: set[str] = set()
        self._path: list[str] = []
        self._parser = expat.ParserCreate("utf-8")  # also if the document names another encoding
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = lambda _: self._path.pop()

    def feed(self, text: bytes) -> None:
        """Read a document. Raises ExpatError, ValueError."""
        self._parser.Parse(text, True)  # noqa: FBT003 - expat takes no keywords

    def _refuse(self, *_: object) -> None:
        raise ValueError("it has a DOCTYPE")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        match self._path:
            case ["evidence", ("config" | "live") as form, "domain", "files"]:
                if attributes.get("measured") == "no":
                    self.unmeasured.add(form)
                else:
                    self.found[form] = []
            case ["evidence", ("config" | "live") as form, "domain", "files", "file"] if form in self.found:
                self.found[form].append(attributes)
