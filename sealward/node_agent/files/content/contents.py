"""The roots of files: known already, read while the caller waits, or read in the background.

Two threads read one file at a time: the file with the fewest bytes left first, and last the files that no
server waits for. Between two stretches of a long file, a shorter file is read. The progress of a long read
survives a restart. When a file system stops answering, the two threads stay there and two others take their
place.
"""

from __future__ import annotations

import logging
import math
import os
import stat
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.node_agent.daemon_threads import DaemonPool
from sealward.node_agent.files.content import reader, tree
from sealward.node_agent.files.content.cache import RACY, Cache, Stamp
from sealward.node_agent.files.discovery.chain import opened, reading
from sealward.node_agent.files.refusals import (
    FileChanging,
    FilesBeingMeasured,
    FilesUnresponsive,
    FileUnreadable,
)
from sealward.node_agent.measuring.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealward.node_agent.files.mounts import Mounts, Visit

log = logging.getLogger(__name__)

THREADS: Final = 2
AT_ONCE: Final = 64 * 1024 * 1024
"""Bytes below which a file that just changed is read at once.

A larger file is read after RACY, so that its root counts for later.
"""
LARGEST: Final = 8 * 1024**4
"""Bytes up to which all leaves of a file are kept while it is read.

A larger file is sparse, because anybody can make one and its leaves would fill the agent's memory: it is read
at once or not at all.
"""
DIRTY_FOR: Final = 300.0
"""Seconds after which the kernel has certainly written changes made through a mapping."""
TRY_AGAIN: Final = 10.0
"""Seconds after which a file that could not be read is read again."""
SAY_EVERY: Final = 10.0
"""Seconds between two lines of the log about the progress of a long read."""
UNREAD: Final = 10.0
"""Seconds without a byte after which a file system counts as unresponsive."""
NICE: Final = 10
_WAITED_FOR, _SCHEDULED = 0, 1


@dataclass(slots=True, eq=False)
class _FileRead:
    """A file that is being read, and the servers that use it."""

    path: Path
    stamp: Stamp
    seen_at: float
    rank: int
    leaves: bytearray
    servers: set[str] = field(default_factory=set)
    bytes_ahead: int = 0
    """Bytes that have been read of the current stretch."""
    began_at: float | None = None
    counts_for_later: bool = False
    said_at: float = 0.0
    is_told: bool = False
    """Whether a caller got FilesBeingMeasured for it, and must be told when it has been read."""
    was_restless: bool = False
    """Whether the file changed during the read before this one, too."""
    outcome: str | NotMeasured | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def bytes_done(self) -> int:
        whole = len(self.leaves) // tree.DIGEST * tree.LEAF
        return min(whole + self.bytes_ahead, self.stamp.size)

    @property
    def urgency(self) -> tuple[int, int]:
        return self.rank, self.stamp.size - self.bytes_done

    @property
    def may_be_dirty(self) -> bool:
        """Return whether a change made through a mapping may be unwritten, while the root would count later.

        For a large file it does not matter: the reader drops the file's pages, which writes them.
        """
        age = time.time() - self.stamp.ctime_ns / 1e9
        return self.counts_for_later and self.stamp.size < AT_ONCE and age < DIRTY_FOR

    def ready_in(self, now: float) -> float:
        """Return the seconds until the read may begin."""
        if self.began_at is not None or self.stamp.size < AT_ONCE:
            return 0.0
        age = max(time.time() - self.stamp.ctime_ns / 1e9, now - self.seen_at)
        return max(0.0, RACY - age)


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which a caller wants a root: the server it is for, and how long the caller waits.

    `until` is the end of the waiting (`time.monotonic()`). A file that is not large must have been read after
    `newer_than` (`time.time()`). A root that is known for longer than `reread_after` seconds is read again in
    the background. With `hurries` the caller waits for no large file.
    """

    server_id: str
    until: float
    newer_than: float = 0.0
    reread_after: float | None = None
    hurries: bool = False


class Contents:
    """The roots of files on a node.

    `tell` is called with the id of each server that got FilesBeingMeasured, when its files have been read.
    `reread_after` is the number of seconds for which a root counts without the file being read again.
    """

    def __init__(
        self, cache: Cache, mounts: Mounts, tell: Callable[[str], None], reread_after: float
    ) -> None:
        self._cache = cache
        self._mounts = mounts
        self._tell = tell
        self._reread_after = reread_after
        self._changed = threading.Condition()
        self._reads: dict[Stamp, _FileRead] = {}
        self._awaited: dict[str, dict[Path, _FileRead]] = {}
        """By server the reads that it waits for, including those that have ended meanwhile."""
        self._failed: dict[Stamp, tuple[float, NotMeasured]] = {}
        self._restless: set[Path] = set()
        """Files that changed while they were read last."""
        self._is_stopped = False
        self._pool = DaemonPool(THREADS, "files", _give_way)
        self._thread = threading.Thread(target=self._work, name="files", daemon=True)

    def start(self) -> None:
        """Begin to read in the background."""
        self._cache.tidy(time.time() - 3 * self._reread_after)
        self._thread.start()

    def stop(self) -> None:
        """Finish the current stretch, and end."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(10)
        self._pool.shutdown(cancel_futures=True)

    def progress(self) -> dict[str, tuple[int, int]]:
        """Return (bytes read, bytes in all) by the id of each server that waits."""
        with self._changed:
            return {
                server_id: (
                    sum(one.bytes_done for one in readings.values()),
                    sum(one.stamp.size for one in readings.values()),
                )
                for server_id, readings in self._awaited.items()
            }

    def root(self, path: Path, terms: Terms) -> str:
        """Return the root of a regular file's content, known for the file's stamp or read now.

        Of all callers that want a file which takes longer than they wait, only the first waits: its servers
        may be many. Raises FilesBeingMeasured when the read takes longer, FileChanging when the file changes
        repeatedly while it is read, and FileMissing, FileUnreadable, FilesUnresponsive.
        """
        self._mounts.enter(path)
        with reading(path):
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise FileUnreadable("not a regular file")
        stamp = Stamp.of(found)
        known, is_large = self._cache.known(stamp), stamp.size >= AT_ONCE
        if known is not None and (is_large or known.hashed_at >= terms.newer_than):
            if abs(time.time() - known.hashed_at) > (terms.reread_after or self._reread_after):
                self._read(path, stamp, terms.server_id, _SCHEDULED)
            return known.root
        if stamp.size > LARGEST:
            return _sparse_root(path, stamp, terms.until)
        wanted = self._read(path, stamp, terms.server_id, _WAITED_FOR)
        return self._waited_for(wanted, terms.server_id, 0.0 if terms.hurries and is_large else terms.until)

    def _read(self, path: Path, stamp: Stamp, server_id: str, rank: int) -> _FileRead:
        """Have a file read, or join the read that is under way. Raises NotMeasured."""
        with self._changed:
            failed = self._failed.get(stamp)
            if failed is not None and time.monotonic() - failed[0] < TRY_AGAIN:
                raise failed[1]
            wanted = self._reads.get(stamp)
            if wanted is None:
                wanted = _FileRead(path, stamp, time.monotonic(), rank, self._cache.progress(stamp))
                self._reads[stamp] = wanted
            wanted.rank = min(wanted.rank, rank)
            wanted.servers.add(server_id)
            self._changed.notify_all()
            return wanted

    def _waited_for(self, wanted: _FileRead, server_id: str, until: float) -> str:
        if not wanted.is_told:
            wanted.done.wait(max(0.0, until - time.monotonic()))
        with self._changed:
            outcome = wanted.outcome
            if outcome is None:
                wanted.is_told = True
                self._awaited.setdefault(server_id, {})[wanted.path] = wanted
                raise FilesBeingMeasured(_progress(wanted))
        if isinstance(outcome, FileChanging) and not wanted.was_restless:
            return self._waited_for(self._again(wanted, server_id), server_id, 0.0)
        if isinstance(outcome, NotMeasured):
            raise outcome
        return outcome

    def _again(self, wanted: _FileRead, server_id: str) -> _FileRead:
        """Read a file as it is now, after it changed for the first time while it was read."""
        with reading(wanted.path):
            stamp = Stamp.of(wanted.path.stat())
        return self._read(wanted.path, stamp, server_id, wanted.rank)

    def _work(self) -> None:
        while (wanted := self._next()) is not None:
            try:
                self._advance(wanted)
            except NotMeasured as refused:
                if isinstance(refused, FilesUnresponsive):
                    self._give_up_threads()
                self._end(wanted, refused)
            except futures.CancelledError:  # by stop, which had no patience with a long stretch
                return

    def _give_up_threads(self) -> None:
        """Read on with other threads. Those that hang end when they come back."""
        self._pool.shutdown(cancel_futures=True)
        self._pool = DaemonPool(THREADS, "files", _give_way)

    def _next(self) -> _FileRead | None:
        """Wait for the read that is to go on; None at the end."""
        with self._changed:
            while not self._is_stopped:
                now = time.monotonic()
                waits = {one: one.ready_in(now) for one in self._reads.values()}
                ready = [one for one, seconds in waits.items() if not seconds]
                if ready:
                    return min(ready, key=lambda one: one.urgency)
                self._changed.wait(min(waits.values(), default=None))
            return None

    def _advance(self, wanted: _FileRead) -> None:
        """Read one stretch of a file, whose stamp must not change meanwhile."""
        if wanted.began_at is None:
            wanted.began_at = time.time()
            age = max(wanted.began_at - wanted.stamp.ctime_ns / 1e9, time.monotonic() - wanted.seen_at)
            wanted.counts_for_later = age > RACY
            if not wanted.counts_for_later:
                wanted.leaves.clear()
        first = len(wanted.leaves) // tree.DIGEST
        part = self._stretch(wanted, first)
        with self._changed:
            wanted.leaves += part
            wanted.bytes_ahead = 0
        if len(wanted.leaves) // tree.DIGEST == tree.leaf_count(wanted.stamp.size):
            self._end(wanted, tree.root(wanted.leaves, wanted.stamp.size))
            return
        if wanted.counts_for_later:
            self._cache.keep_progress(wanted.stamp, first, part)
        if time.monotonic() - wanted.said_at > SAY_EVERY:
            wanted.said_at = time.monotonic()
            log.info("reading %s", _progress(wanted))

    def _stretch(self, wanted: _FileRead, first: int) -> bytes:
        """Return the leaves of a stretch.

        If the thread that reads them hangs, it changes nothing when it comes back.
        """
        pool = self._pool

        def read(visit: Visit) -> bytes:
            self._mounts.enter(wanted.path)
            if wanted.may_be_dirty:
                _write_back(wanted.path)
            return _leaves(wanted.path, wanted.stamp, first, pool, advanced(visit))

        def advanced(visit: Visit) -> Callable[[int], None]:
            def note(count: int) -> None:
                visit.goes_on()
                with self._changed:
                    wanted.bytes_ahead += 0 if visit.is_over else count

            return note

        return self._mounts.visit(None, read, idle=UNREAD, whole=math.inf)

    def _end(self, wanted: _FileRead, outcome: str | NotMeasured) -> None:
        """Keep the outcome of a read, wake the callers that wait for it, and tell the other servers."""
        known = self._cache.known(wanted.stamp)
        if isinstance(outcome, str):
            self._keep(wanted, outcome)
        else:
            self._cache.forget(wanted.stamp)
        is_news = known is not None and known.root != outcome
        with self._changed:
            del self._reads[wanted.stamp]
            if isinstance(outcome, NotMeasured) and not isinstance(outcome, FilesUnresponsive):
                self._failed = {wanted.stamp: (time.monotonic(), outcome), **_recent(self._failed)}
            wanted.was_restless = wanted.path in self._restless
            (self._restless.add if isinstance(outcome, FileChanging) else self._restless.discard)(wanted.path)
            wanted.outcome = outcome
            wanted.done.set()
            told = sorted(wanted.servers) if is_news or wanted.is_told else ()
            self._awaited = {
                server_id: readings
                for server_id, readings in self._awaited.items()
                if any(one.outcome is None for one in readings.values())
            }
        for server_id in told:
            self._tell(server_id)

    def _keep(self, wanted: _FileRead, root: str) -> None:
        self._cache.forget_progress(wanted.stamp)
        self._cache.put_leaves(root, wanted.leaves, time.time())
        if wanted.counts_for_later and wanted.began_at is not None:
            self._cache.put(wanted.stamp, root, wanted.began_at)
        else:
            self._cache.forget(wanted.stamp)


def _write_back(path: Path) -> None:
    """Have the kernel write changed pages: a store through a mapping changes the file's ctime then.

    Further stores into a page that is dirty already do not change ctime (Linux 6.18, ext4, observed). Raises
    NotMeasured.
    """
    with reading(path), opened(path) as fd:
        os.fdatasync(fd)


def _leaves(
    path: Path, stamp: Stamp, first: int, pool: futures.Executor, advanced: Callable[[int], None]
) -> bytes:
    """Read a stretch of a file whose stamp is the same before and after. Raises NotMeasured."""
    with opened(path) as fd:
        _require(fd, stamp)
        part = next(reader.stretches(fd, stamp.size, first, pool, advanced), b"")
        _require(fd, stamp)
        return part


def _sparse_root(path: Path, stamp: Stamp, until: float) -> str:
    """Return the root of a file that is read in this thread. Raises NotMeasured."""
    with reading(path), opened(path) as fd:
        _require(fd, stamp)
        root = reader.root(fd, stamp.size, until)
        _require(fd, stamp)
        return root


def _require(fd: int, stamp: Stamp) -> None:
    if Stamp.of(os.fstat(fd)) != stamp:
        raise FileChanging("it changed while it was read")


def _recent(failed: dict[Stamp, tuple[float, NotMeasured]]) -> dict[Stamp, tuple[float, NotMeasured]]:
    now = time.monotonic()
    return {stamp: one for stamp, one in failed.items() if now - one[0] < TRY_AGAIN}


def _progress(wanted: _FileRead) -> str:
    return f"{wanted.path}: {wanted.bytes_done} of {wanted.stamp.size} bytes"


def _give_way() -> None:
    """Lower the priority of this thread below everything else on the node."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
