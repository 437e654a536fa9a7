"""Checks at `started` that QEMU has the files that the gate read at `prepare`: compares their stamps.

QEMU opens the files after the gate has read them. A file that changed in between has another stamp at
`started`, even if it was changed back: no user can set ctime. Changes that are expected have these rules:

1. libvirt gives files to QEMU's user. A file of which only ctime differs, and whose owner or libvirt's
   extended attributes explain this, is read once more if it is small enough, and else believed.
2. An image that the guest writes to has other times at once. Its header is read once more, because the header
   names the images below it.
3. A process that has mapped a file for writing changes it without a change of the stamp. So no process may
   have a file open for writing, before the start and at `started`, and files with the same stamp are read
   once more, up to AT_ONCE bytes in all.

Until a file must be read, this file imports only modules that are built into Python or lie beside it.
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
"""The folder of the records, in the folder that has the marks. Root's own."""
AT_ONCE = 64 * 1024 * 1024
"""Bytes of data of a file that is read once more; and of all files with the same stamp together."""
BLOCK = 512
SHOWN = 8
KEPT = 100
OF_LIBVIRT = "trusted.libvirt."
"""The beginning of the names of the extended attributes that libvirt sets on files that it gives to QEMU."""


def keep(incoming: str, name: str, text: bytes) -> None:
    """Keep the record of a start that is under way; remove it where `text` is empty. Raises OSError."""
    path = _record_path(incoming, name)
    if path is None:
        return
    forget(incoming, name)
    if not text:
        return
    for folder in (incoming, f"{incoming}/{FOLDER}"):
        if not _is_there(folder):
            posix.mkdir(folder, 0o700)
    file = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW, 0o600)
    try:
        while text:
            text = text[posix.write(file, text) :]
    finally:
        posix.close(file)


def forget(incoming: str, name: str) -> None:
    """Remove the record of a start. Raises OSError."""
    path = _record_path(incoming, name)
    if path is not None and _is_there(path):
        posix.unlink(path)


def unwritten(folder: str, incoming: str, name: str) -> tuple[bool, str]:
    """Return whether a server may start, and the text for the user; not while its files are open for writing.

    An objection is left for the agent. Raises OSError and ValueError, as `check` does.
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
    """Return whether a server that has started may go on, and the text for the user.

    An objection is left for the agent. The record stays for the shell script that runs this: without an
    answer the policy in the record decides. Raises OSError and ValueError where there is a record that cannot
    be read.
    """
    record = _record(incoming, name)
    if record is None:
        return True, ""
    comparison = _Comparison(paths)
    found = [(line, now) for line in record.lines if (now := comparison.now(line)) is not None]
    if not found:
        return True, ""
    will = "lets" if not record.refuses else "does not let"
    text = f"Sealward {will} {name!r} run: its files are not those that were compared before it started."
    return _objected(folder, incoming, name, record, found, (REASON, text))


def _record(incoming: str, name: str) -> Record | None:
    """Return the record of a start; None where there is none. Raises OSError, ValueError."""
    path = _record_path(incoming, name)
    return None if path is None or not _is_there(path) else Record.read(fallback.content(path))


def _objected(  # noqa: PLR0913, PLR0917 - what an objection says, and where it is left
    folder: str,
    incoming: str,
    name: str,
    record: Record,
    found: list[tuple[Line, str]],
    why: tuple[str, str],
) -> tuple[bool, str]:
    """Leave an objection; return whether the policy allows the start, and the text for the user.

    Raises OSError.
    """
    reason, text = why
    allowed = not record.refuses
    findings = ",".join(_finding(line, now) for line, now in found[:KEPT])
    report = fallback.report(name, record.server_id.encode(), reason, allowed=allowed, findings=findings)
    fallback.leave(folder, incoming, report)
    lines = [f"  files: {line.name}: {' '.join(line.stamp.words)} -> {now}" for line, now in found[:SHOWN]]
    return allowed, "\n".join([text, *lines])


class _Comparison:
    """One comparison of all files of a record.

    `paths` are the folders of Sealward's package and its libraries.
    """

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._left = AT_ONCE

    def now(self, line: Line) -> str | None:
        """Return a text about the file now at the path of `line`; None if it is the file that was read."""
        before = line.stamp
        try:
            found = posix.lstat(line.path) if before.kind == "link" else posix.stat(line.path)
            now = Stamp.of(before.kind, found)
            if now.words == before.words:
                is_same = self._is_unchanged(line, found)
            else:
                is_same = _is_explained(line, now, found, self._paths)
            if not is_same:
                return " ".join(now.words)
            if before.kind == "file" and is_open_for_writing(line.path):
                return OPEN
            return None if _has_its_links(line, self._paths) else "another header"
        except OSError as failed:
            return f"not to be read: {failed.strerror}"

    def _is_unchanged(self, line: Line, found: posix.stat_result) -> bool:
        """Return whether a file with the same stamp has the same content, as far as it may be read."""
        size = found.st_blocks * BLOCK
        if line.stamp.kind != "file" or line.root == NOTHING or size > self._left:
            return True
        self._left -= size
        return _root(line.path, self._paths) in {None, str(line.root)}


def _is_explained(line: Line, now: Stamp, found: posix.stat_result, paths: list[str]) -> bool:
    """Return whether a file with another stamp is the same file, because something harmless explains that.

    A folder in which a file was made or removed has not been moved. Raises OSError.
    """
    before = line.stamp
    if (now.dev, now.ino, now.size) != (before.dev, before.ino, before.size):
        return False
    if before.kind == "folder":
        return bool(now.mtime != before.mtime)
    if before.kind != "file" or now.mtime != before.mtime:
        return False
    if now.owner == before.owner and not any(
        name.startswith(OF_LIBVIRT) for name in posix.listxattr(line.path)
    ):
        return False
    return found.st_blocks * BLOCK > AT_ONCE or _root(line.path, paths) == str(line.root)


def _has_its_links(line: Line, paths: list[str]) -> bool:
    """Return whether an image still refers to the images that it referred to. Raises OSError."""
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
    """Return the root of a file's content; None where the package cannot be imported. Raises OSError."""
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


def _is_there(path: str) -> bool:
    try:
        posix.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _record_path(incoming: str, name: str) -> str | None:
    return None if "/" in name or name in {"", ".", ".."} else f"{incoming}/{FOLDER}/{name}"
