"""Whether what the gate read is what QEMU has: stamps of the files are compared when a server has started.

The gate reads files at libvirt's `prepare`; QEMU opens them later. A file that changed in between has
another stamp at `started`, also when it was put back: nobody sets ctime. libvirt itself gives files to
QEMU's user on the way. So a file of which ctime alone is another, and owner or libvirt's attributes tell
why, is read once more where it is small enough, and else believed. An image that the guest writes to has
other times at once: of it the header is read once more, which says what is below it.

A process that has mapped a file for writing changes the file without another stamp. So no process may have
the file open for writing, before the start and now; and files of the same stamp are read once more, the
first 64 MB of them.

Until a file must be read, nothing is imported that is not built into Python or beside this file.
"""

import posix
import sys

import fallback  # type: ignore[import-not-found]  # these lie beside this file, which is run where it lies
from record import NOTHING, Line, Record, Stamp  # type: ignore[import-not-found]
from writers import is_open_for_writing  # type: ignore[import-not-found]

REASON = "file-replaced"
WRITTEN = "file-not-compared"
OPEN = "open for writing"
FOLDER = "read"
"""The folder of the records, in the one that has the marks. Root's own."""
AT_ONCE = 64 * 1024 * 1024
"""Bytes of data of a file that is read once more; of all files of which nothing tells of a change."""
BLOCK = 512
SHOWN = 8
KEPT = 100
OF_LIBVIRT = "trusted.libvirt."
"""Begins the names of the extended attributes that libvirt sets on what it gives to QEMU."""


def keep(incoming: str, name: str, text: bytes) -> None:
    """Keep the record of a start that is under way, none where `text` is empty. Raises OSError."""
    place = _place(incoming, name)
    if place is None:
        return
    forget(incoming, name)
    if not text:
        return
    for folder in (incoming, f"{incoming}/{FOLDER}"):
        if not _is_there(folder):
            posix.mkdir(folder, 0o700)
    file = posix.open(place, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW, 0o600)
    try:
        while text:
            text = text[posix.write(file, text) :]
    finally:
        posix.close(file)


def forget(incoming: str, name: str) -> None:
    """Forget the record of a start. Raises OSError."""
    place = _place(incoming, name)
    if place is not None and _is_there(place):
        posix.unlink(place)


def unwritten(folder: str, incoming: str, name: str) -> tuple[bool, str]:
    """Return whether a server may start, and what to say: nobody may have what was read open for writing.

    An objection is left. Raises OSError and ValueError, as `check` does.
    """
    record = _record(incoming, name)
    files = [line for line in record.lines if line.stamp.kind == "file"] if record else []
    found = [(line, OPEN) for line in files if is_open_for_writing(line.path)]
    if record is None or not found:
        return True, ""
    will = "lets" if not record.refuses else "does not let"
    text = f"Sealward {will} {name!r} start: somebody has files of it open for writing."
    return _objected(folder, incoming, name, record, found, (WRITTEN, text))


def check(folder: str, incoming: str, name: str, paths: list[str]) -> tuple[bool, str]:
    """Return whether a server that has started may go on, and what to say; an objection is left.

    The record stays for the shell that runs this file: without an answer the record's policy decides.
    Raises OSError and ValueError where there is a record that cannot be read.
    """
    record = _record(incoming, name)
    if record is None:
        return True, ""
    look = _Look(paths)
    found = [(line, now) for line in record.lines if (now := look.now(line)) is not None]
    if not found:
        return True, ""
    will = "lets" if not record.refuses else "does not let"
    text = f"Sealward {will} {name!r} run: its files are not those that were compared before it started."
    return _objected(folder, incoming, name, record, found, (REASON, text))


def _record(incoming: str, name: str) -> Record | None:
    """Return the record of a start; None where none was kept. Raises OSError, ValueError."""
    place = _place(incoming, name)
    return None if place is None or not _is_there(place) else Record.read(fallback.content(place))


def _objected(  # noqa: PLR0913, PLR0917 - what an objection says, and where it is left
    folder: str,
    incoming: str,
    name: str,
    record: Record,
    found: list[tuple[Line, str]],
    why: tuple[str, str],
) -> tuple[bool, str]:
    """Leave an objection; return whether the policy lets it pass, and what to say. Raises OSError."""
    reason, text = why
    allowed = not record.refuses
    findings = ",".join(_finding(line, now) for line, now in found[:KEPT])
    report = fallback.report(name, record.server_id.encode(), reason, allowed=allowed, findings=findings)
    fallback.leave(folder, incoming, report)
    lines = [f"  files: {line.name}: {' '.join(line.stamp.words)} -> {now}" for line, now in found[:SHOWN]]
    return allowed, "\n".join([text, *lines])


class _Look:
    """One look at all that a record names; `paths` are where Sealward's package is."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._left = AT_ONCE

    def now(self, line: Line) -> str | None:
        """Return what is there now in the place of what was read; None where it is the same."""
        signed = line.stamp
        try:
            found = posix.lstat(line.path) if signed.kind == "link" else posix.stat(line.path)
            now = Stamp.of(signed.kind, found)
            if now.words == signed.words:
                is_same = self._is_unchanged(line, found)
            else:
                is_same = _is_explained(line, now, found, self._paths)
            if not is_same:
                return " ".join(now.words)
            if signed.kind == "file" and is_open_for_writing(line.path):
                return OPEN
            return None if _has_its_links(line, self._paths) else "another header"
        except OSError as failed:
            return f"not to be read: {failed.strerror}"

    def _is_unchanged(self, line: Line, found: posix.stat_result) -> bool:
        """Say whether a file of the same stamp has the same content, as far as there is time to read it."""
        size = found.st_blocks * BLOCK
        if line.stamp.kind != "file" or line.root == NOTHING or size > self._left:
            return True
        self._left -= size
        return _root(line.path, self._paths) in {None, str(line.root)}


def _is_explained(line: Line, now: Stamp, found: posix.stat_result, paths: list[str]) -> bool:
    """Say whether another stamp is no other file: as it is with what others do beside it, and libvirt to it.

    A folder in which something was made or removed has not been moved. Raises OSError.
    """
    signed = line.stamp
    if (now.dev, now.ino, now.size) != (signed.dev, signed.ino, signed.size):
        return False
    if signed.kind == "folder":
        return bool(now.mtime != signed.mtime)
    if signed.kind != "file" or now.mtime != signed.mtime:
        return False
    if now.owner == signed.owner and not any(
        name.startswith(OF_LIBVIRT) for name in posix.listxattr(line.path)
    ):
        return False
    return found.st_blocks * BLOCK > AT_ONCE or _root(line.path, paths) == str(line.root)


def _has_its_links(line: Line, paths: list[str]) -> bool:
    """Say whether an image still refers to what it referred to. Raises OSError."""
    if line.stamp.kind != "image" or line.root == NOTHING:
        return True
    sys.path += [one for one in paths if one not in sys.path]
    try:
        from sealward.node_agent.files.discovery.chain import links_of  # noqa: PLC0415 - only now it can be found
        from sealward.node_agent.measuring.not_measured import NotMeasured  # noqa: PLC0415 - as above
    except ImportError:
        return False
    try:
        return links_of(line.path) == str(line.root)
    except NotMeasured:
        return False


def _root(path: bytes, paths: list[str]) -> str | None:
    """Return the root of a file's content; None where Sealward's package cannot tell. Raises OSError."""
    sys.path += [one for one in paths if one not in sys.path]
    try:
        from sealward.node_agent.files.offline import root_of  # noqa: PLC0415 - only now it can be found
    except ImportError:
        return None
    return root_of(path)


def _finding(line: Line, now: str) -> str:
    signed = " ".join(line.stamp.words)
    pairs = (
        ("section", "files"),
        ("xpath", f'/domain/files/file[@path="{line.name}"]'),
        ("signed", signed),
        ("found", now),
        ("form", "live"),
    )
    return f"{{{','.join(f'{fallback.quoted(name)}:{fallback.quoted(value)}' for name, value in pairs)}}}"


def _is_there(place: str) -> bool:
    try:
        posix.lstat(place)
    except FileNotFoundError:
        return False
    return True


def _place(incoming: str, name: str) -> str | None:
    return None if "/" in name or name in {"", ".", ".."} else f"{incoming}/{FOLDER}/{name}"
