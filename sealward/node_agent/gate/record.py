"""The record of the files that the gate read before a start.

At `started` the gate compares the files with it.

The first line has the policy and the server, then there is a line for each file. The words of a stamp are
numbers, or "-" where a word does not apply; times are in nanoseconds:

    refuse|observe SERVER_ID
    file   DEV INO SIZE MTIME CTIME OWNER ROOT PATH         a file that the guest does not write to
    image  DEV INO -    -     -     -     ROOT PATH         an image that the guest writes to
    folder DEV INO -    MTIME CTIME -     -    PATH         a folder on the way to a file
    link   DEV INO -    -     CTIME -     -    PATH         a symbolic link on the way to a file

OWNER is user:group:mode and PATH is hexadecimal. ROOT is that of a file's content, or of an image the digest
of the links in its header. The hook runs this file where it lies, so it imports nothing.
"""

NOTHING = "-"
WORDS = 6
"""The number of words of a stamp."""
_KEPT = {
    "file": ("st_size", "st_mtime_ns", "st_ctime_ns"),
    "image": (),
    "folder": ("st_mtime_ns", "st_ctime_ns"),
    "link": ("st_ctime_ns",),
}


class Stamp:
    """The attributes that tell one file from another, and stay the same while a server runs on the file."""

    def __init__(self, kind: str, words: tuple[str, ...]) -> None:
        self.kind = kind
        self.dev, self.ino, self.size, self.mtime, self.ctime, self.owner = words

    @classmethod
    def of(cls, kind: str, found) -> "Stamp":  # type: ignore[no-untyped-def]  # noqa: ANN001 - a stat_result, whose type is imported
        """Return the stamp of a file, given the result of stat(2)."""
        kept = [
            str(getattr(found, name)) if name in _KEPT[kind] else NOTHING
            for name in ("st_size", "st_mtime_ns", "st_ctime_ns")
        ]
        owner = f"{found.st_uid}:{found.st_gid}:{found.st_mode}" if kind == "file" else NOTHING
        return cls(kind, (str(found.st_dev), str(found.st_ino), *kept, owner))

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words of the stamp, as they stand in a line."""
        return self.dev, self.ino, self.size, self.mtime, self.ctime, self.owner


class Line:
    """A file, folder or link with its stamp and root."""

    def __init__(self, stamp: Stamp, root: str, path: bytes) -> None:
        self.stamp, self.root, self.path = stamp, root, path

    @classmethod
    def read(cls, line: str) -> "Line":
        """Return the line that a text describes. Raises ValueError."""
        kind, *words, root, path = line.split(" ")
        if kind not in _KEPT or len(words) != WORDS:
            raise ValueError("no line of a record")
        return cls(Stamp(kind, tuple(words)), root, bytes.fromhex(path))

    def __str__(self) -> str:
        return " ".join((self.stamp.kind, *self.stamp.words, self.root, self.path.hex()))

    @property
    def name(self) -> str:
        """Return the path in printable characters."""
        text = self.path.decode(errors="replace")
        return "".join(one if one.isprintable() else "?" for one in text)


class Record:
    """The files that the gate read for a start, and whether the policy refuses a start in doubt."""

    def __init__(self, lines: list[Line], server_id: str, *, refuses: bool) -> None:
        self.lines, self.server_id, self.refuses = lines, server_id, refuses

    @classmethod
    def read(cls, text: bytes) -> "Record":
        """Return the record that a text describes. Raises ValueError."""
        first, *lines = text.decode().splitlines() or [""]
        policy, _, server_id = first.partition(" ")
        if policy not in {"refuse", "observe"}:
            raise ValueError("no record")
        return cls([Line.read(one) for one in lines], server_id, refuses=policy == "refuse")

    def __str__(self) -> str:
        first = f"{'refuse' if self.refuses else 'observe'} {self.server_id}"
        return "".join(f"{one}\n" for one in (first, *self.lines))
