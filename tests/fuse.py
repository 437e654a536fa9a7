"""File systems that hang, mounted for a test: FUSE in its simplest form, spoken over /dev/fuse itself.

`hung` never answers at all: whatever touches it blocks. `Slow` shows one file and answers until it is told to
read no more. Closing the device gives ENOTCONN to whoever hangs. (linux/include/uapi/linux/fuse.h)
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import os
import stat
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import pytest

MNT_DETACH: Final = 2
_IN: Final = struct.Struct("<IIQQIIIHH")
_OUT: Final = struct.Struct("<IiQ")
_ATTR: Final = struct.Struct("<QQQQQQIIIIIIIIII")
_ROOT, _FILE = 1, 2
_PAST_THE_CACHE: Final = 1


class _Call(enum.IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    RELEASE = 18
    INIT = 26


_OTHERS: Final[dict[int, bytes | int]] = {_Call.RELEASE: b"", _Call.LOOKUP: errno.ENOENT}
_libc = ctypes.CDLL(None, use_errno=True)


def _mounted(place: Path) -> int:
    """Mount a file system at a folder; return the device to serve it with. Skips, or fails in CI, without."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as failed:
        _do_without(f"no FUSE here: {failed}")
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if _libc.mount(b"sealward", os.fsencode(place), b"fuse", 0, options.encode()):
        os.close(device)
        _do_without(f"nothing can be mounted here: {os.strerror(ctypes.get_errno())}")
    return device


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"CI must test file systems that hang: {reason}")
    pytest.skip(reason)


def _unmount(place: Path) -> None:
    _libc.umount2(os.fsencode(place), MNT_DETACH)


@contextlib.contextmanager
def hung(place: Path) -> Iterator[None]:
    """Cover a folder with a file system that never answers."""
    device = _mounted(place)
    try:
        yield
    finally:
        os.close(device)
        _unmount(place)


class Slow:
    """A file system with one file, "image", of so many zeros.

    While `may_read` is not set, reads hang; each (of 128 KiB at most) takes `pause` seconds.
    """

    def __init__(self, place: Path, size: int, pause: float = 0.0) -> None:
        self.pause = pause
        self.image = place / "image"
        self.may_read = threading.Event()
        self.asked = threading.Event()
        """Set when somebody has begun to read."""
        self._place = place
        self._size = size
        self._device = _mounted(place)
        self._thread = threading.Thread(target=self._serve, name="fuse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give back what hangs, and unmount."""
        self.may_read.set()
        _unmount(self._place)  # the request for that comes last, then the device ends
        self._thread.join(10)
        os.close(self._device)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 17)
            except OSError as ended:
                if ended.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            if opcode == _Call.FORGET:
                continue
            if opcode == _Call.READ:
                self.asked.set()
                self.may_read.wait()
                time.sleep(self.pause)
            answer = self._answer(opcode, node, request[_IN.size :])
            failed, body = (answer, b"") if isinstance(answer, int) else (0, answer)
            with contextlib.suppress(OSError):  # the process that asked is gone
                os.write(self._device, _OUT.pack(_OUT.size + len(body), -failed, unique) + body)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes | int:
        """Return the body of an answer, or an error's number."""
        match opcode:
            case _Call.INIT:
                _, _, ahead, _ = struct.unpack_from("<IIII", body)
                return struct.pack("<IIIIHHIIHHI28x", 7, 31, ahead, 0, 8, 6, 1 << 16, 1, 0, 0, 0)
            case _Call.LOOKUP if body.rstrip(b"\0") == b"image":
                return struct.pack("<QQQQII", _FILE, 0, 3600, 3600, 0, 0) + self._attributes(_FILE)
            case _Call.GETATTR:
                return struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
            case _Call.OPEN:
                return struct.pack("<QII", 0, _PAST_THE_CACHE, 0)
            case _Call.READ:
                _, offset, size, *_ = struct.unpack_from("<QQI", body)
                return bytes(max(0, min(size, self._size - offset)))
        return _OTHERS.get(opcode, errno.ENOSYS)

    def _attributes(self, node: int) -> bytes:
        is_root = node == _ROOT
        size, mode = (0, stat.S_IFDIR | 0o755) if is_root else (self._size, stat.S_IFREG | 0o644)
        return _ATTR.pack(node, size, 0, 1, 1, 1, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
