"""Folders that root enters and writes to: step by step, by descriptor, and through no link of another user.

A user who can rename a folder on a path decides where the path leads. Here each folder of a path is opened
from the folder before it and checked while it is open, so that the checked folder is the folder that is
used.
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
from sealward.node_agent.gate import fork

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LINKS: Final = 40
"""Links that are followed on the way to a folder, as many as Linux follows."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes that are read of a file, at most."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathRefused(SealwardError):
    """Another user could replace the file at that path."""

    code = "path.refused"


class Guarded:
    """An open folder. File names are looked up in it, and no link among them is followed."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        os.close(self._descriptor)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None where there is none.

        Raises PathRefused for all but plain files.
        """
        try:
            return content(name, self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as refused:
            raise PathRefused(
                f"{self.path / name} is not a plain file: look at it, and remove it"
            ) from refused

    def write(self, name: str, content: bytes, mode: int) -> None:
        """Put a new file with that mode in the place of the file or link of that name, whole or not at all.

        Raises OSError.
        """
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
        """Remove a file or a link, if there is one. The target of a link stays."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)


def content(path: Path | str, folder: int | None = None) -> bytes:
    """Return the content of a plain file, without waiting. Raises OSError for links, pipes and devices."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        return opened.read(LARGEST)


def enter(path: Path, make: int | None = None) -> Guarded:
    """Open a folder that only root and the caller can change.

    Folders on the way may be writable for others if they are sticky, as /tmp is; the last folder may not.
    With `make`, missing folders are made with exactly that mode; existing folders keep theirs. Raises
    PathRefused, which names the folder and the user, and OSError.
    """
    owners = {0, os.geteuid()}
    return _walked(path, make, lambda found, where, last: _check(found, where, owners, sticky=not last))


def as_owner(path: Path, work: Callable[[Guarded], None], make: int | None = None) -> None:
    """Call `work` with the folder at `path`, in a child process that runs as the folder's owner.

    On the way to the folder, root becomes the owner of the first folder that is not root's: links of that
    user then lead only where that user could go. Nothing is done where the folder is missing and `make` is
    None. Raises PathRefused, and OSError where the child ended without an answer.
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

    word, _, text = fork.answer(do).decode().partition(" ")
    if word == "refused":
        raise PathRefused(text)
    if word != "done":
        raise OSError(errno.EIO, "the child process ended without an answer", str(path))


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


def _walked(path: Path, make: int | None, check: Callable[[os.stat_result, Path, bool], None]) -> Guarded:
    """Open a folder, and call `check` for every folder on its path.

    A link is followed where only root and the caller can make links.
    """
    rest = list(reversed(Path(os.path.abspath(path)).parts[1:]))  # noqa: PTH100 - resolve() follows links
    where, folder, links = Path("/"), os.open("/", _FOLDER), 0
    try:
        check(os.fstat(folder), where, not rest)
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
            check(os.fstat(folder), where, not rest)
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
    """Raise PathRefused unless only root and the caller can change the folder that a link is in."""
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
