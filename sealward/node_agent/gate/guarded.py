"""Folders that root enters and writes to: step by step, by descriptor, through nobody else's link.

A path is a promise of whoever can rename what is on it. Here each folder of a path is opened from the one
before it and looked at while it is open, so that nothing is decided about one folder and done to another.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sealward.error import SealwardError
from sealward.node_agent.files.protected import OTHERS, is_guarded
from sealward.node_agent.gate import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LINKS: Final = 40
"""Links that are followed on the way to a folder, as Linux does."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes that are read of a file."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathRefused(SealwardError):
    """Somebody else could change what is at that path."""

    code = "path.refused"


class Guarded:
    """An open folder; names are looked up in it, and links among them are never followed."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    def read(self, name: str) -> bytes | None:
        """Return what is in a file; None where there is none. Raises PathRefused for all but plain files."""
        try:
            return content(name, self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as refused:
            raise PathRefused(f"{self.path / name} is no plain file: look at it, and remove it") from refused

    def write(self, name: str, content: bytes, mode: int) -> None:
        """Put a new file of that mode in the place of whatever has the name: whole, or not at all."""
        draft = f".{name}.{secrets.token_hex(8)}"
        file = os.open(
            draft,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
            dir_fd=self._descriptor,
        )
        try:
            with os.fdopen(file, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fchmod(file, mode)
                os.fsync(file)
            os.rename(draft, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=self._descriptor)
            raise
        os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Take a name away; a link is taken away, not what it leads to."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)


def content(path: Path | str, folder: int | None = None) -> bytes:
    """Return what is in a plain file. Raises OSError for links, pipes and devices, and never waits."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        return opened.read(LARGEST)


def enter(path: Path, make: int | None = None) -> Guarded:
    """Return a folder that nobody can change but root and the caller.

    On the way there may be folders that others write to and that are sticky, as /tmp; not at its end.
    With `make`, folders that are missing are made with exactly that mode. What is there keeps its mode.
    Raises PathRefused, naming the folder and the user, and OSError.
    """
    owners = {0, os.geteuid()}
    return _walked(path, make, lambda found, where, last: _check(found, where, owners, sticky=not last))


def as_owner(path: Path, work: Callable[[Guarded], None], make: int | None = None) -> None:
    """Do something in a folder as the user whom it belongs to, in a process apart.

    On the way root becomes the owner of the first folder that is not its own: whatever that user has put
    there leads no further than that user could go. Where there is no such folder, and none is to be made,
    nothing is done. Raises PathRefused, and OSError where the process ended.
    """

    def do() -> bytes:
        try:
            with _walked(path, make, _become) as folder:
                work(folder)
        except FileNotFoundError:
            return b"done"
        except (PathRefused, OSError) as refused:
            return f"refused {refused}".encode()
        return b"done"

    word, _, text = apart.answer(do).decode().partition(" ")
    if word == "refused":
        raise PathRefused(text)
    if word != "done":
        raise OSError(errno.EIO, "there was no end to it", str(path))


def _check(found: os.stat_result, where: Path, owners: Collection[int], *, sticky: bool) -> None:
    if not is_guarded(found, owners, sticky=sticky):
        message = f"{where} can be changed by {_name(found)}: it must be root's, and writable for root alone"
        raise PathRefused(message)


def _become(found: os.stat_result, _where: Path, _last: bool) -> None:  # noqa: FBT001 - as enter() looks
    """Give up root for the owner of a folder that is not root's."""
    if os.geteuid() == 0 and found.st_uid != 0:
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)


def _walked(path: Path, make: int | None, look: Callable[[os.stat_result, Path, bool], None]) -> Guarded:
    """Return a folder whose whole path was looked at. Links count where only trusted users can make them."""
    rest = list(reversed(Path(os.path.abspath(path)).parts[1:]))  # noqa: PTH100 - resolve() follows links
    where, folder, links = Path("/"), os.open("/", _FOLDER), 0
    try:
        look(os.fstat(folder), where, not rest)
        while rest:
            name = rest.pop()
            target = _link(name, folder)
            if target is not None:
                links += 1
                _trust(folder, where / name, links)
                rest += reversed(Path(os.path.normpath(where / target)).parts[1:])
                where, name = Path("/"), "/"
            following = _opened(name, folder, make)
            os.close(folder)
            folder = following
            where /= name
            look(os.fstat(folder), where, not rest)
    except BaseException:
        os.close(folder)
        raise
    return Guarded(folder, where)


def _link(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _trust(folder: int, link: Path, links: int) -> None:
    """Raise PathRefused unless a link is in a folder that root, or the caller, alone can change."""
    found = os.fstat(folder)
    if links > LINKS or not is_guarded(found, {0, os.geteuid()}, sticky=False):
        raise PathRefused(f"{link} is a link that {_name(found)} can make: name the folder itself")


def _opened(name: str, folder: int, make: int | None) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(name, _FOLDER, dir_fd=folder)
    if make is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    os.mkdir(name, 0o700, dir_fd=folder)
    made = os.open(name, _FOLDER, dir_fd=folder)
    os.fchmod(made, make)
    return made


def _name(found: os.stat_result) -> str:
    if found.st_mode & OTHERS:
        return "others than its owner"
    try:
        return pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return f"user {found.st_uid}"
