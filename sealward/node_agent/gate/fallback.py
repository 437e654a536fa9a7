"""The decision when nothing else can be found out: by the posted policy, with what is built into Python.

The agent gave no answer, and the package is not there, cannot be run, or ran out of time or means. The
objection is written here, without the package. The forms are those of `gate.posted` and `gate.spool`.
"""

import posix
import time

POSTED = "gate.policy"
HEADER = b"sealward-gate/1"
LARGEST = 64 * 1024 * 1024
"""Bytes of a posted policy that are read."""
UNSAID = "unsaid"
"""The folder beside the marks for what the spool has no room for. Root's own."""
AT_ONCE = 100
"""Objections of that folder that one start puts into the spool."""
FULL = 10_000
"""Objections that may wait, as in `gate.spool`."""
ID = frozenset(b"0123456789abcdef-")
WORDS = {
    "out-of-time": "there was no time to compare it",
    "gate-failed": "the comparison failed",
    "ledger-unreadable": "this node's ledger is gone, and it refused starts when it was last there",
    "domain-not-given": "its XML never arrived",
    "unanswered": "it is unknown here, and whether it is signed could not be found out",
}
ADVICE = "See that the agent runs and Sealward's package is whole; after an upgrade: sealward gate install."
ID_LENGTH = 36
SURROGATES = range(0xD800, 0xE000)
LAST_OF_ONE = 0xFFFF
"""The last character that JSON writes with one code."""
ID_KEY = b'"id":"'


class Posted:
    """The posted policy; where none is posted, the copy that root keeps of the last that was.

    Without either nothing is refused. `kept` is where root's copy is, beside the hook: when the folder
    of the ledger is taken away, the policy stays.
    """

    def __init__(self, folder: str, kept: str = "") -> None:
        self._folder, self._kept = folder, kept
        self._text = content(f"{folder}/{POSTED}")
        self.is_kept = bool(kept) and not _is_policy(self._text)
        if self.is_kept:
            self._text = content(kept)
        self.is_there = _is_policy(self._text)
        self._lines = self._text.splitlines()[1:]

    def keep(self) -> None:
        """Keep a copy of what is posted, as root. What cannot be written leaves the copy before as it is."""
        if not self._kept or self.is_kept or content(self._kept) == self._text:
            return
        draft = f"{self._kept}.new"
        try:
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
            file = posix.open(draft, flags, 0o600)
            try:
                _write_all(file, self._text)
            finally:
                posix.close(file)
            posix.rename(draft, self._kept)
        except OSError:
            return

    def of(self, server_id: bytes) -> tuple[bool, bool]:
        """Return whether a start is refused when in doubt, and whether anybody signed the server.

        Without an id it may be any server: its start is refused if the start of any is.
        """
        refuses = is_signed = False
        for line in self._lines if self.is_there else ():
            key, _, words = line.partition(b" ")
            if not server_id:
                refuses = refuses or words.startswith(b"refuse")
            elif key in {b"node", server_id}:
                refuses, is_signed = words.startswith(b"refuse"), key == server_id
        return refuses, is_signed

    @property
    def refuses_unsigned(self) -> bool:
        """Say whether servers that nobody signed are refused."""
        return any(line.startswith(b"node ") and line.endswith(b" refuse") for line in self._lines[:1])

    def decide(self, incoming: str, name: str, xml: bytes, reason: str) -> tuple[bool, str]:
        """Return whether a server may start, and what to say; an objection is left for the agent."""
        known = server_id(xml)
        refuses, is_signed = self.of(known)
        if not xml:  # it never arrived
            allowed, reason = True, "domain-not-given"
        elif known and self.is_there and not is_signed:
            if not self.refuses_unsigned:
                return True, ""
            allowed, reason = False, "unanswered"
        else:
            allowed = not refuses
        said = (
            f"Sealward {'lets' if allowed else 'does not let'} {name!r} start: {WORDS[reason]}.\n  {ADVICE}"
        )
        try:
            leave(self._folder, incoming, report(name, known, reason, allowed=allowed))
        except OSError as failed:
            said += f"\n  It could not be recorded: {failed.strerror}."
        return allowed, said


def _is_policy(text: bytes) -> bool:
    return text.partition(b"\n")[0] == HEADER


def server_id(xml: bytes) -> bytes:
    """Return the UUID in a domain's XML as libvirt writes it; empty where there is none."""
    found = bytes(xml).partition(b"<uuid>")[2][:ID_LENGTH].lower()
    return found if len(found) == ID_LENGTH and ID.issuperset(found) else b""


def report(name: str, known: bytes, reason: str, *, allowed: bool, findings: str = "") -> bytes:
    """Return an objection as the agent reads it; `findings` are JSON objects already."""
    now = time.gmtime()
    fields = (
        '"kind":"objection"',
        f'"id":"{posix.urandom(16).hex()}"',
        f'"server_id":{quoted(known.decode()) if known else "null"}',
        f'"instance_name":{quoted(name)}',
        f'"decided_at":{quoted(time.strftime("%Y-%m-%dT%H:%M:%S+00:00", now))}',
        f'"reason":{quoted(reason)}',
        f'"refused":{"false" if allowed else "true"}',
        f'"findings":[{findings}]',
    )
    return f"{{{','.join(fields)}}}".encode()


def quoted(text: str) -> str:
    """Return a text as JSON has it; what is not plain ASCII is written by its code, what is none as "?"."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(one: str) -> str:
    code = ord(one)
    if code in SURROGATES:
        return "?"
    if code > LAST_OF_ONE:
        return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"
    return one if " " <= one <= "~" and one not in '"\\' else f"\\u{code:04x}"


def leave(folder: str, incoming: str, text: bytes) -> None:
    """Leave an objection for the agent: in its spool, or where that has no room beside the marks.

    There it waits for the next start (`deliver`). Raises OSError where it can be left nowhere.
    """
    if _is_done_apart(folder, text):
        return
    place = f"{incoming}/{UNSAID}"
    for one in (incoming, place):
        if not _is_there(one):
            posix.mkdir(one, 0o700)
    if len(posix.listdir(place)) < FULL:
        _write(place, text)


def deliver(folder: str, incoming: str) -> None:
    """Put into the spool what there was no room for before."""
    place = f"{incoming}/{UNSAID}"
    try:
        for name in posix.listdir(place)[:AT_ONCE]:
            text = content(f"{place}/{name}")
            if text and _is_done_apart(folder, text):
                posix.unlink(f"{place}/{name}")
    except OSError:  # there never was any, or what there is waits for the next start
        return


def _is_done_apart(folder: str, text: bytes) -> bool:
    """Write to the spool as the ledger's owner, in a process apart: this one stays root."""
    try:
        child = posix.fork()
    except OSError:  # there can be no more processes
        return False
    if child == 0:
        status = 1
        try:
            become_owner(folder)
            place = f"{folder}/spool"
            if not _is_there(place):
                posix.mkdir(place, 0o700)
            if len(posix.listdir(place)) < FULL:
                _write(place, text)
            status = 0
        finally:
            posix._exit(status)  # noqa: SLF001 - it is os._exit, which is public
    return posix.waitpid(child, 0)[1] == 0


def _write(place: str, text: bytes) -> None:
    """Write an objection, whole or not at all. Raises OSError."""
    name = f"{time.time_ns():020d}-{text.partition(ID_KEY)[2][:32].decode()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    draft = posix.open(f"{place}/.{name}", flags, 0o600)
    try:
        try:
            _write_all(draft, text)
        finally:
            posix.close(draft)
    except OSError:
        posix.unlink(f"{place}/.{name}")
        raise
    posix.rename(f"{place}/.{name}", f"{place}/{name}.json")


def _write_all(file: int, text: bytes) -> None:
    while text:
        text = text[posix.write(file, text) :]
    posix.fsync(file)


def become_owner(folder: str) -> None:
    """Give up root for the first user but root whom a folder on the way to the ledger belongs to.

    Whatever that user put there leads no further than that user could go: also a link in the ledger's place
    to a folder of root's. Raises OSError.
    """
    place = ""
    for name in folder.split("/")[1:]:
        place += f"/{name}"
        owner = posix.lstat(place)
        if posix.geteuid() == 0 and owner.st_uid != 0:
            posix.setgroups([])
            posix.setgid(owner.st_gid)
            posix.setuid(owner.st_uid)
            return


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


def content(path: str) -> bytes:
    """Return what is in a file; nothing where it cannot be read."""
    parts: list[bytes] = []
    try:
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
        file = posix.open(path, flags)
    except OSError:
        return b""
    try:
        while len(parts) * 65536 < LARGEST and (part := posix.read(file, 65536)):
            parts.append(part)
    except OSError:
        return b""
    finally:
        posix.close(file)
    return b"".join(parts)
