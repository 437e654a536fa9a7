"""The decision by the posted policy alone, for a hook that can find out nothing else.

The hook comes here when the agent gave no answer and the package is missing, cannot be run, or ran out of
time or memory. So this file imports modules that are built into Python alone, and writes the objection
itself. `gate.posted` and `gate.spool` define the forms of the files.
"""

import posix
import time

POSTED = "gate.policy"
HEADER = b"sealward-gate/1"
LARGEST = 64 * 1024 * 1024
"""Bytes of a posted policy that are read, at most."""
UNSAID = "unsaid"
"""The folder beside the marks for objections that the spool has no room for. Root's own."""
AT_ONCE = 100
"""Objections of that folder that a single start moves into the spool."""
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
"""The last character that JSON writes as one escape."""
ID_KEY = b'"id":"'


class Posted:
    """The posted policy, or root's copy of it where no policy is posted.

    `folder` is the ledger's. `kept` is the path of root's copy, beside the hook: the copy stays when the
    ledger's folder is taken away. Without either file nothing is refused.
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
        """Copy the posted policy to root's copy, as root. Where that fails, the copy of before stays."""
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
        """Return whether the policy refuses a start of the server in doubt, and whether the server is signed.

        Without an id it may be any server: its start is refused if the policy refuses that of any server.
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
        """Return whether the policy refuses servers that are not signed."""
        return any(line.startswith(b"node ") and line.endswith(b" refuse") for line in self._lines[:1])

    def decide(self, incoming: str, name: str, xml: bytes, reason: str) -> tuple[bool, str]:
        """Return whether a server may start, and the text for the user.

        An objection is left for the agent. Raises OSError and MemoryError where it cannot be left.
        """
        known = server_id(xml)
        refuses, is_signed = self.of(known)
        if not xml:  # libvirt gave none
            allowed, reason = True, "domain-not-given"
        elif known and self.is_there and not is_signed:
            if not self.refuses_unsigned:
                return True, ""
            allowed, reason = False, "unanswered"
        else:
            allowed = not refuses
        leave(self._folder, incoming, report(name, known, reason, allowed=allowed))
        said = "lets" if allowed else "does not let"
        return allowed, f"Sealward {said} {name!r} start: {WORDS[reason]}.\n  {ADVICE}"


def _is_policy(text: bytes) -> bool:
    return text.partition(b"\n")[0] == HEADER


def server_id(xml: bytes) -> bytes:
    """Return the UUID in a domain's XML, if it has the form in which libvirt writes it; else nothing."""
    found = bytes(xml).partition(b"<uuid>")[2][:ID_LENGTH].lower()
    return found if len(found) == ID_LENGTH and ID.issuperset(found) else b""


def report(name: str, known: bytes, reason: str, *, allowed: bool, findings: str = "") -> bytes:
    """Return an objection in the form that the agent reads. `findings` are JSON objects, joined by commas."""
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
    """Return a text as a JSON string in ASCII. A surrogate becomes "?"."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(one: str) -> str:
    code = ord(one)
    if code in SURROGATES:
        return "?"
    if code > LAST_OF_ONE:
        return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"
    return one if " " <= one <= "~" and one not in '"\\' else f"\\u{code:04x}"


def leave(folder: str, incoming: str, text: bytes) -> None:
    """Leave an objection for the agent in its spool, or beside the marks where the spool has no room.

    The next start moves it into the spool then (`deliver`). Raises OSError where neither is possible.
    """
    if _written_as_owner(folder, text):
        return
    place = f"{incoming}/{UNSAID}"
    for one in (incoming, place):
        if not _is_there(one):
            posix.mkdir(one, 0o700)
    if len(posix.listdir(place)) < FULL:
        _write(place, text)


def deliver(folder: str, incoming: str) -> None:
    """Move objections that the spool had no room for into the spool."""
    place = f"{incoming}/{UNSAID}"
    try:
        for name in posix.listdir(place)[:AT_ONCE]:
            text = content(f"{place}/{name}")
            if text and _written_as_owner(folder, text):
                posix.unlink(f"{place}/{name}")
    except OSError:  # there is none, or it waits for the next start
        return


def _written_as_owner(folder: str, text: bytes) -> bool:
    """Write to the spool as the ledger's owner.

    A child process does it, because this process must stay root. The child holds no descriptor that libvirt
    or the shell script waits for.
    """
    try:
        child = posix.fork()
    except OSError:  # the kernel makes no more processes
        return False
    if child == 0:
        status = 1
        try:
            nowhere = posix.open("/dev/null", posix.O_RDWR)
            for standard in range(3):
                posix.dup2(nowhere, standard)
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
    """Give up root for the owner of the first folder on the way to the ledger that is not root's.

    Links of that user then lead only where that user could go: also a link in the ledger's place to a folder
    of root's. Raises OSError.
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
    """Return the content of a file; nothing where it cannot be read."""
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
