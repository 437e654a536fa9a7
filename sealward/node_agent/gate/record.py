"""The record of what the gate read of a server that it let start, to be compared when QEMU runs.

One line each; the words of a stamp are numbers, "-" where it has none, times are nanoseconds:

    refuse|observe SERVER_ID                                the policy, and of which server
    file   DEV INO SIZE MTIME CTIME OWNER ROOT PATH         a file that nobody writes to; ROOT of its content
    image  DEV INO -    -     -     -     ROOT PATH         an image that is written to; ROOT of its links
    folder DEV INO -    MTIME CTIME -     -    PATH         a folder on the way to one
    link   DEV INO -    -     CTIME -     -    PATH         a symbolic link on the way to one

OWNER is user:group:mode, PATH is hexadecimal. The hook runs this file where it lies, so it imports nothing.
"""

NOTHING = "-"
WORDS = 6
"""Words of a stamp."""
_KEPT = {
    "file": ("st_size", "st_mtime_ns", "st_ctime_ns"),
    "image": (),
    "folder": ("st_mtime_ns", "st_ctime_ns"),
    "link": ("st_ctime_ns",),
}


class Stamp:
    """What tells a file from another, as far as it stays while a server runs on that file."""

    def __init__(self, kind: str, words: tuple[str, ...]) -> None:
        self.kind = kind
        self.dev, self.ino, self.size, self.mtime, self.ctime, self.owner = words

    @classmethod
    def of(cls, kind: str, found) -> "Stamp":  # type: ignore[no-untyped-def]  # noqa: ANN001 - a stat_result, whose type is imported
        """Return the stamp of what stat(2) says."""
        kept = [
            str(getattr(found, name)) if name in _KEPT[kind] else NOTHING
            for name in ("st_size", "st_mtime_ns", "st_ctime_ns")
        ]
        owner = f"{found.st_uid}:{found.st_gid}:{found.st_mode}" if kind == "file" else NOTHING
        return cls(kind, (str(found.st_dev), str(found.st_ino), *kept, owner))

    @property
    def words(self) -> tuple[str, ...]:
        """Return it as it stands in a line."""
        return self.dev, self.ino, self.size, self.mtime, self.ctime, self.owner


class Line:
    """A file, folder or link with its stamp."""

    def __init__(self, stamp: Stamp, root: str, path: bytes) -> None:
        self.stamp, self.root, self.path = stamp, root, path

    @classmethod
    def read(cls, line: str) -> "Line":
        """Read a line. Raises ValueError."""
        kind, *words, root, path = line.split(" ")
        if kind not in _KEPT or len(words) != WORDS:
            raise ValueError("no line of a record")
        return cls(Stamp(kind, tuple(words)), root, bytes.fromhex(path))

    def __str__(self) -> str:
        return " ".join((self.stamp.kind, *self.stamp.words, self.root, self.path.hex()))

    @property
    def name(self) -> str:
        """Return the path to be shown."""
        text = self.path.decode(errors="replace")
        return "".join(one if one.isprintable() else "?" for one in text)


class Record:
    """What the gate read of a server, and what its policy was."""

    def __init__(self, lines: list[Line], server_id: str, *, refuses: bool) -> None:
        self.lines, self.server_id, self.refuses = lines, server_id, refuses

    @classmethod
    def read(cls, text: bytes) -> "Record":
        """Read a record. Raises ValueError."""
        first, *lines = text.decode().splitlines() or [""]
        policy, _, server_id = first.partition(" ")
        if policy not in {"refuse", "observe"}:
            raise ValueError("no record")
        return cls([Line.read(one) for one in lines], server_id, refuses=policy == "refuse")

    def __str__(self) -> str:
        first = f"{'refuse' if self.refuses else 'observe'} {self.server_id}"
        return "".join(f"{one}\n" for one in (first, *self.lines))
