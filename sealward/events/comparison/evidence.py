"""What the evidence of a reference says of its files, where the reference itself does not list them.

References that were sealed by an earlier version have the digest of all their files together, and the files
one by one in their evidence alone: deflated XML, written by the node and countersigned by the authority.
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
"""What stands in evidence where a value was masked."""
UNLISTED: Final = "files-unlisted"
"""The code of what the evidence of a reference does not tell."""


def with_files(measurement: Measurement, evidence: bytes) -> Measurement:
    """Return the measurement of a reference with its files listed, from the evidence where need be.

    A reference that was signed without files stays without a listing. Of evidence that cannot be read
    nothing is known of any file.
    """
    if measurement.files or FILES not in measurement.sections:
        return measurement
    reading = _Reading()
    with contextlib.suppress(expat.ExpatError, zlib.error, ValueError):
        reading.feed(_inflated(evidence))
    forms = (CONFIG, LIVE) if FILES in measurement.live else (CONFIG,)
    files = {form: _listing(reading.found.get(form)) for form in forms if form not in reading.unmeasured}
    return replace(measurement, files=files)


def _inflated(evidence: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(evidence, MAX_BYTES)
    if not inflater.eof:
        raise ValueError("more than is read")
    return text


def _listing(found: list[dict[str, str]] | None) -> Listing:
    """Return a listing that knows nothing where the evidence has none, or anything in it was masked."""
    if found is None or any(MASK in value for attributes in found for value in attributes.values()):
        return Listing({}, {ALL: UNLISTED})
    return listed(found)


class _Reading:
    """Collects the attributes of each `<file>` by form, and which forms were measured without files."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, str]]] = {}
        self.unmeasured: set[str] = set()
        self._path: list[str] = []
        self._parser = expat.ParserCreate("utf-8")  # whatever the document says: expat asks Python else
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
