"""The folder that an export is: a log as c2sp.org/tlog-tiles has it, and the bytes of its events.

`checkpoint` and `tile/…` are the files that the API serves under /v1/log. The files of `states/…` are named
like the bundles of entries. Each has for each of its events the length, four bytes, the high byte first, and
the bytes that the log has stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.error import SealwardError
from sealward.events.base import Stored
from sealward.events.tlog.record import read_record
from sealward.events.tlog.refusals import RecordRefused, TileRefused
from sealward.events.tlog.tiles import WIDTH, numbered, unbundled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sealward.events.tlog.record import Record

LENGTH: Final = 4


class ExportRefused(SealwardError):
    """A file of the export is missing or malformed; the message names the file."""

    code = "audit.export-refused"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Up to 256 events that follow each other in the log."""

    number: int
    """The bundle's number: its first event is leaf 256 * number."""
    name: str
    """The end of the names of its files: `x001/234.p/17`."""
    entries: list[bytes]
    states: list[bytes]

    def stored(self) -> Iterator[tuple[Record, Stored]]:
        """Yield the record of each event, and the event as the log has it. Raises ExportRefused."""
        for entry, state in zip(self.entries, self.states, strict=True):
            try:
                record = read_record(entry)
            except RecordRefused as refused:
                raise ExportRefused(f"tile/entries/{self.name}: {refused}") from refused
            yield (
                record,
                Stored(record.position, record.stream, record.version, record.topic, state),
            )


@dataclass(frozen=True, slots=True)
class Folder:
    """An export at a path."""

    path: Path

    def checkpoint(self) -> str:
        """Return the text of the checkpoint. Raises ExportRefused."""
        try:
            return self._read("checkpoint").decode()
        except UnicodeDecodeError as no_text:
            raise ExportRefused("checkpoint: not UTF-8") from no_text

    def tile(self, name: str) -> bytes:
        """Return the hashes of a tile, by its path under `tile/`. Raises ExportRefused."""
        return self._read(f"tile/{name}")

    def bundles(self, size: int) -> Iterator[Bundle]:
        """Yield the events of a log of `size` events, bundle by bundle. Raises ExportRefused."""
        for begin in range(0, size, WIDTH):
            width = min(WIDTH, size - begin)
            name = numbered(begin // WIDTH, width)
            bundle = Bundle(begin // WIDTH, name, self._entries(name), self._states(name))
            if not len(bundle.entries) == len(bundle.states) == width:
                raise ExportRefused(f"tile/entries/{name} or states/{name}: not {width} events")
            yield bundle

    def write(self, name: str, data: bytes) -> None:
        """Write a file, and the folders that it is in."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def _entries(self, name: str) -> list[bytes]:
        try:
            return unbundled(self._read(f"tile/entries/{name}"))
        except TileRefused as refused:
            raise ExportRefused(f"tile/entries/{name}: {refused}") from refused

    def _states(self, name: str) -> list[bytes]:
        data, found, at = self._read(f"states/{name}"), [], 0
        while at < len(data):
            begin = at + LENGTH
            at = begin + int.from_bytes(data[at:begin], "big")
            if begin > len(data) or at > len(data):
                raise ExportRefused(f"states/{name}: ends within an event")
            found.append(data[begin:at])
        return found

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as missing:
            raise ExportRefused(f"{name}: {missing.strerror}") from missing


def states(of: Iterable[bytes]) -> bytes:
    """Return the bytes of events as a file of `states/` has them."""
    return b"".join(len(state).to_bytes(LENGTH, "big") + state for state in of)
