"""What libvirt's hook runs when a server starts: asks the agent, and decides alone when it gets no answer.

Run as `run(["SOCKET", "FOLDER", "INCOMING", "NAME", "PATH"…])` with the domain XML on stdin. SOCKET is where
the agent listens, FOLDER holds the node's ledger, INCOMING has a mark for each server that libvirt receives
or restores, and the record of what was read of those that start; PATH… is where Sealward and its libraries
are. It prints nothing on stdout: in other hook operations that would become the domain. Status ALLOW lets the
server start, REFUSE keeps it from starting with what stands on stderr; libvirt shows it to whoever asked for
the start. Any other status is no decision: the shell script decides then, by the posted policy.

As `run(["--coming", "SOCKET"])` it has the agent find out about a server that libvirt is about to receive.
As `run(["--started", …])`, with what else a start has, it compares what QEMU has with what was read.

PATH… may begin with `kept=FILE`: the copy of the posted policy that root keeps.

The posted policy is read before anything else can fail, and whatever fails then leads to it.

It imports what is built into Python alone, for a start waits for it: `socket` and `json` would double it. It
is imported, and not run by its path, for then it would be compiled at each start.
"""

import _signal  # type: ignore[import-not-found]  # typeshed has none of what `signal` is made of
import _socket
import gc
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 4 * 1024 * 1024
"""Bytes of XML that are looked at; more than that is no domain."""
ASKED = 0.7
"""Seconds in which the agent must answer."""
PATIENCE = 1.7
"""Seconds after which there is a decision in any case."""
BELATED = 0.3
"""Seconds for what libvirt has written and was not read in time: this process may have stood still."""
AFTER_ALL = 2
"""Seconds after which the process ends that cannot even leave an objection."""
AT_ONCE = 256 * 1024
"""Bytes for which there is room without making more."""
MOST = 16 * 1024
"""Bytes that are said of a server that may not go on: a pipe holds them."""
COMING_FOLDER = "coming"
"""The folder of the marks, which have the names of servers: beside it lie folders with other names."""
MARK_AGE = 60.0
"""Seconds for which a mark tells that a server is received or restored: libvirt prepares it at once."""

KEPT = "kept="

ALLOW, REFUSE = 0, 3

FOR_COMING = 1.5
"""Seconds in which it may find out about a server that is announced."""
COMING = "coming"
"""What the agent is told then, in the place of the XML's form."""
LEFT = "left"
"""What the agent is told in its place when an objection was left in the spool."""


class OutOfTime(BaseException):
    """There is no time left to find out more."""


class Start:
    """What is to start, and all that was found out of it."""

    def __init__(self, socket: str, folder: str, incoming: str, name: str, *paths: str) -> None:
        self.socket, self.folder, self.incoming, self.name = socket, folder, incoming, name
        self.paths = [one for one in paths if not one.startswith(KEPT)]
        self.kept = "".join(one[len(KEPT) :] for one in paths[:1] if one.startswith(KEPT))
        self.read = bytearray(AT_ONCE)

    @property
    def xml(self) -> bytes:
        """Return what has arrived of the domain XML."""
        return bytes(self.read[: _size(self.read)])


def run(argv: list[str]) -> None:
    """Decide on one start, and end the process: taking it apart first costs as much as asking the agent."""
    posix._exit(main(argv))  # noqa: SLF001 - it is os._exit, which is public


def main(argv: list[str]) -> int:
    """Decide on one start; return the status."""
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
    except OSError:  # nobody listens
        return


def _decided(start: Start) -> tuple[bool, str]:
    import fallback  # type: ignore[import-not-found]  # noqa: PLC0415 - it lies beside this file

    posted = fallback.Posted(start.folder, start.kept)
    try:
        _read(start.read)
        form = b"live" if _is_incoming(start.incoming, start.name) else b"config"
        answer = _ask(start.socket, form, start.xml, ASKED)
        decided = _recorded(start, answer or _alone(start, form, must_be_told=posted.is_kept))
        posted.keep()
        fallback.deliver(start.folder, start.incoming)
    except BaseException as failed:  # noqa: BLE001 - whatever it is, the policy says what to do
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        lost = "ledger-unreadable" if posted.is_kept else "gate-failed"
        reason = "out-of-time" if isinstance(failed, OutOfTime) else lost
    else:
        return decided
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.alarm(AFTER_ALL)
    _drain(start.read)
    fallback.deliver(start.folder, start.incoming)
    by_policy: tuple[bool, str] = posted.decide(start.incoming, start.name, start.xml, reason)
    _tell(start.socket)
    return by_policy


def _recorded(start: Start, answer: tuple[bool, str, bytes]) -> tuple[bool, str]:
    """Keep what was read of a server that may start, and see that nobody writes to it.

    Raises as `_apart` does, and OSError: later nobody could compare it.
    """
    allowed, text, record = answer
    if not allowed or not record:
        return allowed, text
    import started  # type: ignore[import-not-found]  # noqa: PLC0415 - it lies beside this file

    started.keep(start.incoming, start.name, record)
    allowed, said = _apart(lambda: started.unwritten(start.folder, start.incoming, start.name))
    if said:
        _tell(start.socket)
    return allowed, "\n".join(one for one in (text, said) if one)


def _began(start: Start) -> tuple[bool, str]:
    """Decide whether a server that has started may go on, by what was read before: libvirt ends it if not.

    Raises as `_apart` does: then the shell script decides by the policy.
    """
    import started  # noqa: PLC0415 - as above

    allowed, said = _apart(lambda: started.check(start.folder, start.incoming, start.name, start.paths))
    _signal.setitimer(_signal.ITIMER_REAL, 0)  # it is decided: the record is of no use any more
    started.forget(start.incoming, start.name)
    if said:
        _tell(start.socket)
    return allowed, said


def _apart(look: "Callable[[], tuple[bool, str]]") -> tuple[bool, str]:
    """Return what a process apart finds out: a file system may hang. It holds nothing that libvirt waits for.

    Raises ValueError where it ends without an answer, and OutOfTime.
    """
    reader, writer = posix.pipe()
    if posix.fork() == 0:
        nowhere = posix.open("/dev/null", posix.O_RDWR)
        for standard in range(3):
            posix.dup2(nowhere, standard)
        try:
            allowed, text = look()
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
    """Read what libvirt writes. What was read is in `into` even when this ends in the middle of it.

    A signal can come between the read and whatever would be done about its result: so bytes are read into
    their place, and how many they are is seen by the first zero: XML has none.
    """
    try:
        while (size := _size(into)) <= LIMIT and posix.readv(0, [memoryview(into)[size:]]):
            if _size(into) == len(into):
                into.extend(bytes(len(into)))
    except OSError:  # it is closed: then there is nothing more to be read
        return


def _size(read: bytearray) -> int:
    end = read.find(0)
    return len(read) if end < 0 else end


def _drain(into: bytearray) -> None:
    """Read what libvirt has written already: what arrived is decided on, however late."""
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
    """Say whether libvirt receives or restores the server: then it gives its running form."""
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
    """Tell the agent which server is coming, and nothing else of its XML: it has the console's password."""
    xml = bytearray(AT_ONCE)
    try:
        _read(xml)
        _ask(socket, COMING.encode(), bytes(xml.partition(b"<uuid>")[2][:36]), FOR_COMING)
    except OutOfTime:
        pass
    return ALLOW


def _tell(socket: str) -> None:
    """Tell the agent that there is something in the spool; without an agent it waits there."""
    try:
        _ask(socket, LEFT.encode(), b"", BELATED)
    except OutOfTime:
        return


def _ask(path: str, form: bytes, xml: bytes, seconds: float) -> tuple[bool, str, bytes] | None:
    """Return what the agent says: the decision, a text, the record. None when it is not there or too slow."""
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
    if word not in {b"allow", b"refuse"} or not is_said or not is_whole:  # an agent that died as it spoke
        return None
    return word == b"allow", text.decode(), record


def _alone(start: Start, form: bytes, *, must_be_told: bool) -> tuple[bool, str, bytes]:
    """Decide without the agent. Raises ValueError where nobody can, by a ledger that was told something."""
    gc.disable()  # there will be little to collect before the process ends
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
    run(sys.argv[1:])  # as the hook did that an earlier version installed
