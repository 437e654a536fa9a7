"""The program of libvirt's hook for a server that starts: asks the agent, or decides without it.

Run as `run(["SOCKET", "FOLDER", "INCOMING", "NAME", "PATH"…])` with the domain XML on stdin. The agent
listens on SOCKET. FOLDER holds the node's ledger. INCOMING holds a mark for each server that libvirt receives
or restores, and the records of the files that were read for starts. Sealward and its libraries are in the
folders PATH…; the first may be `kept=FILE`, which names root's copy of the posted policy.

As `run(["--coming", "SOCKET"])` it has the agent ask the control plane about a server that libvirt will
receive. As `run(["--started", …])`, with the other arguments of a start, it compares the files that QEMU has
with those that were read before the start.

Status ALLOW lets the server start. REFUSE keeps it from starting; stderr says why, and libvirt shows that to
the user who asked for the start. Any other status is no decision: then the hook's shell script decides by the
posted policy. The shell script takes what is printed on stdout, which is the UUID of the server as soon as
the XML is read: nobody can read the XML again.

The posted policy is read before anything that can fail, and every failure leads to it.

A start waits for this program. So it imports modules that are built into Python alone: `socket` and `json`
would double its time. And it is imported instead of being run by its path, because Python would compile it at
each start then.
"""

import _signal  # type: ignore[import-not-found]  # typeshed lacks the module that `signal` is made of
import _socket
import gc
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from sealward.node_agent.gate.fallback import Posted

LIMIT = 4 * 1024 * 1024
"""Bytes of XML that are read: libvirt has no longer domains."""
ASKED = 0.7
"""Seconds in which the agent must answer."""
PATIENCE = 1.7
"""Seconds after which there is a decision in any case."""
BELATED = 0.3
"""Seconds to read what libvirt has written when the time is over: this process may have been stopped until
now."""
AFTER_ALL = 2
"""Seconds after which the process ends, even if it cannot leave an objection."""
AT_ONCE = 256 * 1024
"""Bytes of XML for which the first buffer has room."""
MOST = 16 * 1024
"""Bytes of the text on a server that may not go on: a pipe holds as many."""
COMING_FOLDER = "coming"
"""The folder of the marks, which have the names of servers.

The marks have a folder of their own, because other folders lie beside it.
"""
MARK_AGE = 60.0
"""Seconds for which a mark counts: libvirt prepares a server right after it announced it."""

KEPT = "kept="
NAMED = b"server "
"""Heads the line that names the server to the shell script."""

ALLOW, REFUSE, UNDECIDED = 0, 3, 4

FOR_COMING = 1.5
"""Seconds in which the agent may ask about a server that libvirt announces."""
COMING = "coming"
"""The request that announces a server, sent in the place of the XML's form."""
LEFT = "left"
"""The request that says that an objection was left in the spool, sent in the same place."""


class OutOfTime(BaseException):
    """The time for finding out more is over."""


class Start:
    """A start: the arguments of the hook, and the part of the XML that has arrived."""

    def __init__(self, socket: str, folder: str, incoming: str, name: str, *paths: str) -> None:
        self.socket, self.folder, self.incoming, self.name = socket, folder, incoming, name
        self.paths = [one for one in paths if not one.startswith(KEPT)]
        self.kept = "".join(one[len(KEPT) :] for one in paths[:1] if one.startswith(KEPT))
        self.read = bytearray(AT_ONCE)
        self.is_named = False

    @property
    def xml(self) -> bytes:
        """Return the part of the domain XML that has arrived."""
        return bytes(self.read[: _size(self.read)])


def run(argv: list[str]) -> None:
    """Decide on a start, and end the process at once: an orderly end costs as much as asking the agent.

    Every failure ends in a status: a process without memory must not go on as if nothing had failed.
    """
    status = UNDECIDED
    try:
        status = main(argv)
    except BaseException as failed:  # noqa: BLE001 - after any error the shell script decides
        _say(f"{type(failed).__name__}: {failed}")
    finally:
        posix._exit(status)  # noqa: SLF001 - it is os._exit, which is public


def main(argv: list[str]) -> int:
    """Decide on a start; return the status."""
    _signal.signal(_signal.SIGALRM, _ring)
    _signal.setitimer(_signal.ITIMER_REAL, PATIENCE)
    if argv[0] == "--coming":
        return _announce(argv[1])
    if argv[0] == "--started":
        allowed, text = _began(Start(*argv[1:]))
    else:
        allowed, text = _decided(Start(*argv))
    if text:
        _say(text)
    return ALLOW if allowed else REFUSE


def _say(text: str) -> None:
    try:
        posix.write(2, text.encode(errors="replace") + b"\n")
    except OSError:  # nobody reads it
        return


def _decided(start: Start) -> tuple[bool, str]:
    import fallback  # type: ignore[import-not-found]  # noqa: PLC0415 - it lies beside this file

    posted = fallback.Posted(start.folder, start.kept)
    try:
        _read(start.read)
        _name(start, fallback.server_id(start.xml))
        form = b"live" if _is_incoming(start.incoming, start.name) else b"config"
        answer = _ask(start.socket, form, start.xml, ASKED)
        decided = _recorded(start, answer or _alone(start, form, must_be_told=posted.is_kept))
    except BaseException as failed:  # noqa: BLE001 - after any error the policy decides
        _limit()
        lost = "ledger-unreadable" if posted.is_kept else "gate-failed"
        reason = "out-of-time" if isinstance(failed, OutOfTime) else lost
    else:
        _tidy(start, posted, fallback)
        return decided
    _drain(start.read)
    _name(start, fallback.server_id(start.xml))
    fallback.deliver(start.folder, start.incoming)
    by_policy: tuple[bool, str] = posted.decide(start.incoming, start.name, start.xml, reason)
    _tell(start.socket)
    return by_policy


def _name(start: Start, server_id: bytes) -> None:
    """Name the server to the shell script, which decides by the server's policy if this process cannot."""
    if server_id and not start.is_named:
        posix.write(1, NAMED + server_id + b"\n")
        start.is_named = True


def _tidy(start: Start, posted: "Posted", fallback: "ModuleType") -> None:
    """Keep the posted policy, and move objections that wait into the spool.

    The decision on the start stands if this fails.
    """
    try:
        posted.keep()
        fallback.deliver(start.folder, start.incoming)
    except BaseException:  # noqa: BLE001 - also OutOfTime, or no memory: the next start does it
        return


def _limit() -> None:
    """Have the kernel end this process soon, without any code of Python's."""
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.alarm(AFTER_ALL)


def _recorded(start: Start, answer: tuple[bool, str, bytes]) -> tuple[bool, str]:
    """Keep the record of a server that may start, and check that nobody has its files open for writing.

    Raises OSError where the record cannot be kept, because the files could not be compared later, and raises
    as `_in_child` does.
    """
    allowed, text, record = answer
    if not allowed or not record:
        return allowed, text
    import started  # type: ignore[import-not-found]  # noqa: PLC0415 - it lies beside this file

    started.keep(start.incoming, start.name, record)
    allowed, said = _in_child(lambda: started.unwritten(start.folder, start.incoming, start.name))
    if said:
        _tell(start.socket)
    return allowed, "\n".join(one for one in (text, said) if one)


def _began(start: Start) -> tuple[bool, str]:
    """Decide whether a server that has started may go on, by the record; libvirt ends the server if not.

    Raises as `_in_child` does: then the shell script decides by the policy.
    """
    import started  # noqa: PLC0415 - as above

    allowed, said = _in_child(lambda: started.check(start.folder, start.incoming, start.name, start.paths))
    _signal.setitimer(_signal.ITIMER_REAL, 0)  # the decision is made: the record is not needed any more
    started.forget(start.incoming, start.name)
    if said:
        _tell(start.socket)
    return allowed, said


def _in_child(work: "Callable[[], tuple[bool, str]]") -> tuple[bool, str]:
    """Return the result of `work`, called in a child process, because a file system may hang.

    The child holds no descriptor that libvirt or the shell script waits for. Raises ValueError where the
    child ends without an answer, and OutOfTime.
    """
    reader, writer = posix.pipe()
    if posix.fork() == 0:
        try:
            nowhere = posix.open("/dev/null", posix.O_RDWR)
            for standard in range(3):
                posix.dup2(nowhere, standard)
            allowed, text = work()
            posix.write(writer, (b"allow" if allowed else b"refuse") + b"\n" + text.encode()[:MOST])
        finally:
            posix._exit(0)  # noqa: SLF001 - as above
    posix.close(writer)
    answer = b""
    while part := posix.read(reader, 65536):
        answer += part
    posix.close(reader)
    word, _, said = answer.partition(b"\n")
    if not word:
        raise ValueError("no answer")
    return word == b"allow", said.decode(errors="replace")


def _read(into: bytearray) -> None:
    """Read what libvirt writes into `into`, where it is kept even if OutOfTime interrupts the reading.

    A signal can come between read(2) and any code that handles its result. So the kernel writes the bytes in
    place, and the first zero byte ends them: XML has none.
    """
    try:
        while (size := _size(into)) <= LIMIT and posix.readv(0, [memoryview(into)[size:]]):
            if _size(into) == len(into):
                into.extend(bytes(len(into)))
    except OSError:  # it is closed: there is nothing more to read
        return


def _size(read: bytearray) -> int:
    end = read.find(0)
    return len(read) if end < 0 else end


def _drain(into: bytearray) -> None:
    """Read the input that libvirt has written until now: the decision is about all input, also late input."""
    until = time.monotonic() + BELATED
    try:
        posix.set_blocking(0, False)
        while not _size(into) and time.monotonic() < until:
            _read(into)
            time.sleep(0.01)
        _read(into)
    except OSError:  # as above
        return


def _is_incoming(folder: str, name: str) -> bool:
    """Return whether libvirt receives or restores the server: then its XML is the running form."""
    if "/" in name or name in {"", ".", ".."}:
        return False
    mark = f"{folder}/{COMING_FOLDER}/{name}"
    try:
        age = time.time() - posix.stat(mark).st_mtime
        posix.unlink(mark)
    except OSError:
        return False
    return age < MARK_AGE


def _announce(socket: str) -> int:
    """Tell the agent the UUID of a server that is coming.

    The rest of the XML holds the console's password.
    """
    xml = bytearray(AT_ONCE)
    try:
        _read(xml)
        _ask(socket, COMING.encode(), bytes(xml.partition(b"<uuid>")[2][:36]), FOR_COMING)
    except OutOfTime:
        pass
    return ALLOW


def _tell(socket: str) -> None:
    """Tell the agent that a report is in the spool. Without an agent the report waits there."""
    try:
        _ask(socket, LEFT.encode(), b"", BELATED)
    except OutOfTime:
        return


def _ask(path: str, form: bytes, xml: bytes, seconds: float) -> tuple[bool, str, bytes] | None:
    """Return the agent's decision, text and record; None where the agent is not there or too slow."""
    deadline = time.monotonic() + seconds
    agent = None
    try:
        agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        agent.settimeout(seconds)
        agent.connect(path)
        agent.sendall(form + b"\n" + xml)
        agent.shutdown(_socket.SHUT_WR)
        answer = b""
        while True:
            agent.settimeout(max(0.001, deadline - time.monotonic()))
            part = agent.recv(65536)
            if not part:
                break
            answer += part
    except OSError:
        return None
    finally:
        if agent is not None:
            agent.close()
    word, _, rest = answer.partition(b"\n")
    text, is_said, rest = rest.partition(b"\0")
    record, is_whole, _ = rest.partition(b"\0")
    if word not in {b"allow", b"refuse"} or not is_said or not is_whole:  # the agent died while it answered
        return None
    return word == b"allow", text.decode(), record


def _alone(start: Start, form: bytes, *, must_be_told: bool) -> tuple[bool, str, bytes]:
    """Decide without the agent, from the ledger.

    With `must_be_told`, raises ValueError where the control plane never told the ledger anything.
    """
    gc.disable()  # the process ends before a collection would pay
    sys.path += start.paths
    from sealward.node_agent.gate import sparing  # noqa: PLC0415 - only now it can be found

    sparing.defer("inspect")  # `dataclasses` imports it, and needs it for classes without a docstring alone
    from sealward.node_agent.gate.decision import offline  # noqa: PLC0415 - as above

    allowed, text, record, unsaid = offline.decide(
        start.folder, form.decode(), start.xml, must_be_told=must_be_told
    )
    if unsaid:
        import fallback  # noqa: PLC0415 - as in `_decided`

        fallback.leave(start.folder, start.incoming, unsaid)
    return allowed, text, record


def _ring(_number: int, _frame: object) -> None:
    raise OutOfTime


if __name__ == "__main__":
    run(sys.argv[1:])  # hooks of earlier versions run this file by its path
