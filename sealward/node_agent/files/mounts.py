"""Which file systems answer: every access to files of servers is a visit, made in a thread of its own.

A call on a network file system whose server is gone, or on a file system in user space that hangs, never
returns. A visit that gets no answer is given up: its thread stays where it hangs. The mount that the visit
was on counts as unresponsive and is not touched until that thread comes back. So a mount that hangs holds one
thread for each kind of visit, and servers on other mounts are not affected.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sealward.node_agent.daemon_threads import DaemonThreads
from sealward.node_agent.files.refusals import FilesUnresponsive

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
log = logging.getLogger(__name__)

ANSWER: Final = 4.0
"""Seconds that a file system has to answer.

A loaded file system takes milliseconds, a file system on a broken disk many seconds.
"""
LONGEST: Final = 30.0
"""Seconds that a visit may take, even if the file system answers all the time: the agent waits for it."""
REST: Final = 60.0
"""Seconds for which a mount is not touched after a visit that took longer although the file system
answered."""
GRACE: Final = 0.2
"""Seconds that a visit gets in any case: this process may have been stopped meanwhile."""
KNOWN_FOR: Final = 5.0
"""Seconds for which the list of mounts is believed.

It is read again before a mount counts as unresponsive.
"""
MAX_LINKS: Final = 40
"""Symbolic links in a path, as many as Linux follows."""
FOLDERS: Final = 10_000
"""Folders whose real paths are remembered, at most."""

Mount = tuple[int, str]
"""A mount: its id, which is unique while the mount exists, and its path."""


@dataclass(slots=True)
class Visit:
    """One visit: the server that it is for, if any, the path that its thread touches, and its time limits.

    `idle` is the number of seconds allowed between two signs of life, `whole` that for the whole visit.
    """

    server_id: str | None
    idle: float
    whole: float
    at: str = ""
    """The path that was touched last, without symbolic links before its last part."""
    began_at: float = field(default_factory=time.monotonic)
    moved_at: float = field(default_factory=time.monotonic)
    is_over: bool = False

    def goes_on(self) -> None:
        """Give a sign of life."""
        self.moved_at = time.monotonic()

    @property
    def left(self) -> float:
        """Return the seconds until the visit is given up; zero or less when it is late."""
        return min(self.moved_at + self.idle, self.began_at + self.whole) - time.monotonic()


@dataclass(slots=True)
class _Hung:
    """The visits that hang on a mount, and the servers to be measured again when the last has come back."""

    calls: int = 0
    servers: set[str] = field(default_factory=set)

    def note(self, server_id: str | None) -> None:
        if server_id is not None:
            self.servers.add(server_id)


class Mounts:
    """The mounts of the node.

    `tell` is called with the id of each server that was refused, when its mount answers again.
    """

    def __init__(self, tell: Callable[[str], None], table: Path = Path("/proc/self/mountinfo")) -> None:
        self._tell = tell
        self._table = table
        self._threads = DaemonThreads("files-visit")
        self._here = threading.local()
        self._lock = threading.Lock()
        self._hung: dict[Mount, _Hung] = {}
        self._mounts: dict[str, Mount] = {}
        self._read_at = float("-inf")
        self._forgot_at = float("-inf")
        self._real: dict[str, str] = {}
        """Folders without the symbolic links in their paths."""

    def visit(
        self,
        server_id: str | None,
        call: Callable[[Visit], T],
        *,
        idle: float = ANSWER,
        whole: float = LONGEST,
    ) -> T:
        """Call a function that touches files. The function must call `enter` before it touches a path.

        Raises FilesUnresponsive when the visit is late, and the exceptions of the function.
        """
        visit = Visit(server_id, idle, whole)
        answer = self._threads.make(lambda: self._made(visit, call))
        while not futures.wait([answer], max(GRACE, visit.left)).done:
            if visit.left <= 0:
                self._give_up(visit, answer)
                raise FilesUnresponsive(f"{visit.at}: its file system does not answer")
        return answer.result()

    def enter(self, path: Path) -> None:
        """Say that this visit will touch a path now: if the visit hangs, the path's mount is the cause.

        Outside visits it does nothing. Raises FilesUnresponsive where the path leads over an unresponsive
        mount.
        """
        visit: Visit | None = getattr(self._here, "visit", None)
        if visit is None:
            return
        visit.goes_on()
        folder, name = os.path.split(str(path))
        self._followed(visit, self._folder(visit, folder), name)

    def close(self) -> None:
        """End the threads that wait for work."""
        self._threads.close()

    def _made(self, visit: Visit, call: Callable[[Visit], T]) -> T:
        self._here.visit = visit
        try:
            return call(visit)
        finally:
            self._here.visit = None

    def _folder(self, visit: Visit, folder: str) -> str:
        """Return the real path of a folder. It is looked up anew while a mount hangs that it may lead to."""
        if time.monotonic() - self._forgot_at > KNOWN_FOR or len(self._real) == FOLDERS:
            self._real, self._forgot_at = {}, time.monotonic()
        real = None if self._hung else self._real.get(folder)
        if real is None:
            real = self._real[folder] = self._followed(visit, "/", folder)
        return real

    def _followed(self, visit: Visit, start: str, path: str) -> str:
        """Return the path to which a path leads from a folder.

        A part that does not exist is kept as it is.
        """
        at, links = start, 0
        ahead = deque(path.split("/"))
        while ahead:
            part = ahead.popleft()
            if part in ("", "."):
                continue
            step = os.path.dirname(at) if part == ".." else f"{at.rstrip('/')}/{part}"  # noqa: PTH120 - text, for speed
            self._require(visit, step)
            target = _link(step)
            if target is None or links == MAX_LINKS:
                at = step
                continue
            links += 1
            ahead.extendleft(reversed(target.split("/")))
            at = "/" if target.startswith("/") else at
        return at

    def _require(self, visit: Visit, step: str) -> None:
        if visit.is_over:
            raise FilesUnresponsive(f"{step}: too late")
        visit.at = step
        if not self._hung:
            return
        mount = self._mount(step)
        with self._lock:
            hung = self._hung.get(mount)
            if hung is not None:
                hung.note(visit.server_id)
                raise FilesUnresponsive(f"{step}: its file system does not answer")

    def _give_up(self, visit: Visit, answer: futures.Future[T]) -> None:
        visit.is_over = True
        self._read_at = float("-inf")
        mount = self._mount(visit.at)
        log.warning("the file system at %s does not answer: %s", mount[1], visit.at)
        with self._lock:
            hung = self._hung.setdefault(mount, _Hung())
            hung.calls += 1
            hung.note(visit.server_id)
        is_alive = visit.moved_at + visit.idle > time.monotonic()
        answer.add_done_callback(lambda _: self._rested(mount) if is_alive else self._came_back(mount))

    def _rested(self, mount: Mount) -> None:
        timer = threading.Timer(REST, self._came_back, [mount])
        timer.daemon = True
        timer.start()

    def _came_back(self, mount: Mount) -> None:
        with self._lock:
            hung = self._hung[mount]
            hung.calls -= 1
            if hung.calls:
                return
            del self._hung[mount]
        log.info("the file system at %s answers again", mount[1])
        for server_id in sorted(hung.servers):
            self._tell(server_id)

    def _mount(self, step: str) -> Mount:
        """Return the mount of a path that has no symbolic links."""
        if time.monotonic() - self._read_at > KNOWN_FOR:
            self._mounts = _mounts(self._table.read_text(encoding="utf-8", errors="surrogateescape"))
            self._read_at = time.monotonic()
        while step not in self._mounts and step not in ("", "/"):
            step = os.path.dirname(step)  # noqa: PTH120 - text, for speed
        return self._mounts.get(step, (0, "/"))


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - text, for speed
    except (OSError, ValueError):
        return None


def _mounts(table: str) -> dict[str, Mount]:
    """Return the topmost mount by path, read from /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    found = {}
    for line in table.splitlines():
        number, _, _, _, path, *_ = line.split(" ")
        path = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), path)
        found[path] = int(number), path
    return found
