"""The transparency log over HTTP, as c2sp.org/tlog-tiles has it: checkpoint, tiles, entries; and proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events.tlog.merkle import HASH, inclusion_proof
from sealward.events.tlog.note import read_note
from sealward.events.tlog.proof import InclusionProof
from sealward.events.tlog.record import entry_of
from sealward.events.tlog.tiles import WIDTH, Tile, bundle, tile_at, width_at
from sealward.http.auth.access import PROOF, Rule
from sealward.http.operation.answer import Date, answer, date
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon

    from sealward.control.checkpoints import SignedCheckpoint
    from sealward.http.services import Services
    from sealward.projections.store.tables import Tables

SHOW_LOG: Final = Rule(
    "log:show", "Read the transparency log: checkpoints, tiles, entries and proofs.", PROOF
)
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
FOR_EVER: Final = "private, max-age=31536000, immutable"
"""A tile never changes; answers differ by token, so no shared cache keeps them."""
UNSIGNED: Final = {404: ("log.not-signed",)}


class Log(msgspec.Struct, frozen=True):
    """The transparency log: its name, the key that verifies its checkpoints, and how far it is signed.

    `events` counts the leaves of the tree, `signed` counts the leaves under the last checkpoint. `problem` is
    log.behind or log.inconsistent when the log does not continue the last checkpoint: then no checkpoint is
    signed.
    """

    origin: str
    vkey: str
    events: int
    signed: int
    signed_at: Date
    problem: str | None


class LogAnswer(msgspec.Struct, frozen=True):
    """The transparency log."""

    log: Log


class TransparencyLog:
    """`/log`, `/log/checkpoint`, `/log/tile/{tile}` and `/log/event/{position}/proof`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        in_log = {404: ("log.not-signed", "log.not-there")}
        return [
            Operation("GET", "/log", self.show, {200: Answer(LogAnswer)}, rule=SHOW_LOG, refuses=UNSIGNED),
            Operation(
                "GET",
                "/log/checkpoint",
                self.checkpoint,
                {200: Answer(str, TEXT)},
                rule=SHOW_LOG,
                refuses=UNSIGNED,
            ),
            Operation(
                "GET",
                "/log/tile/{tile}",
                self.tile,
                {200: Answer(str, BYTES)},
                rule=SHOW_LOG,
                refuses=in_log,
            ),
            Operation(
                "GET",
                "/log/event/{position}/proof",
                self.proof,
                {200: Answer(str, TEXT)},
                rule=SHOW_LOG,
                refuses=in_log,
            ),
        ]

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show how far the log is signed, and by which key."""
        del req
        last = self._last()
        found = self._services.monitor.log()
        origin = read_note(last.note).text.partition("\n")[0]
        signed_at = date(last.signed_at)
        answer(resp, LogAnswer(Log(origin, last.vkey, found.size, last.size, signed_at, found.problem)))

    def checkpoint(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give the last checkpoint: a signed note."""
        del req
        resp.content_type, resp.text = TEXT, self._last().note
        resp.cache_control = ("no-store",)

    def tile(self, req: falcon.Request, resp: falcon.Response, tile: str) -> None:
        """Give a tile of hashes, or a bundle of entries. The path of a partial tile states its width."""
        del req
        wanted, is_entries = tile_at(tile)
        if wanted.width > width_at(wanted, self._last().size):
            raise Problem(404, "log.not-there", "The last checkpoint has no such tile.")
        with self._services.projections.reading() as tables:
            resp.data = self._entries(wanted, tables) if is_entries else self._hashes(wanted, tables)
        resp.content_type = BYTES
        resp.cache_control = (FOR_EVER,)

    def proof(self, req: falcon.Request, resp: falcon.Response, position: int) -> None:
        """Give the proof that an event is in the log, by its position, for verification offline."""
        del req
        last, tree = self._last(), self._services.projections.tree
        with self._services.projections.reading() as tables:
            leaf = tree.leaf_at(position, tables)
            if leaf is None or leaf >= last.size:
                raise Problem(404, "log.not-there", "The last checkpoint has no event at that position.")
            hashes = inclusion_proof(leaf, last.size, tree.subtrees(tables))
        resp.content_type, resp.text = TEXT, str(InclusionProof(leaf, hashes, read_note(last.note)))
        resp.cache_control = ("no-store",)

    def _last(self) -> SignedCheckpoint:
        last = self._services.checkpoints.last()
        if last is None:
            message = "No checkpoint is signed yet: workers sign when SEALWARD_LOG_KEY names a key."
            raise Problem(404, "log.not-signed", message)
        return last

    def _hashes(self, wanted: Tile, tables: Tables) -> bytes:
        stored = self._services.projections.tree.stored(tables)
        return stored(wanted.level, wanted.number)[: wanted.width * HASH]

    def _entries(self, wanted: Tile, tables: Tables) -> bytes:
        position = self._services.projections.tree.position_of(wanted.number * WIDTH, tables)
        entries = [] if position is None else self._services.store.copy(position - 1, wanted.width)
        return bundle(
            entry_of(one.position, one.stream, one.version, one.topic, one.state) for one in entries
        )
