"""What libvirt's hook runs when a server starts: asks the agent, and decides alone when it gets no answer.

Run as `run(["SOCKET", "FOLDER", "INCOMING", "NAME", "PATH"…])` with the domain XML on stdin. SOCKET is where
the agent listens, FOLDER holds the node's ledger, INCOMING has a mark for each server that libvirt receives
or restores, PATH… is where Sealward and its libraries are. It prints nothing on stdout: in other hook
operations that would become the domain. Status 0 lets the server start, 1 keeps it from starting with what
stands on stderr; libvirt shows it to whoever asked for the start.

As `run(["--coming", "SOCKET"])` it has the agent find out about a server that libvirt is about to receive.

It imports what is built into Python alone, for a start waits for it: `socket` and `json` would double it. It
is imported, and not run by its path, for then it would be compiled at each start.
"""

import _signal  # type: ignore[import-not-found]  # typeshed has none of what `signal` is made of
import _socket
import gc
import posix
import sys
import time

LIMIT = 4 * 1024 * 1024
"""Bytes of XML that are looked at; more than that is no domain."""
ASKED = 0.7
"""Seconds in which the agent must answer."""
PATIENCE = 1.7
"""Seconds after which there is a decision in any case."""
MARK_AGE = 60.0
"""Seconds for which a mark tells that a server is received or restored: libvirt prepares it at once."""


FOR_COMING = 1.5
"""Seconds in which it may find out about a server that is announced."""
COMING = "coming"
"""What the agent is told then, in the place of the XML's form."""


class OutOfTime(BaseException):
    """There is no time left to find out more."""


def run(argv: list[str]) -> None:
    """Decide on one start, and end the process: taking it apart first costs as much as asking the agent."""
    posix._exit(main(argv))  # noqa: SLF001 - it is os._exit, which is public


def main(argv: list[str]) -> int:
    """Decide on one start; return the status."""
    _signal.signal(_signal.SIGALRM, _ring)
    _signal.setitimer(_signal.ITIMER_REAL, PATIENCE)
    if argv[0] == "--coming":
        return _announce(argv[1])
    socket, folder, incoming, name, *paths = argv
    try:
        xml = _read()
        form = b"live" if _is_incoming(incoming, name) else b"config"
        allowed, text = _ask(socket, form, xml, ASKED) or _alone(folder, form, xml, paths)
    except OutOfTime:
        allowed, text = True, "Sealward's start gate was given no domain XML in time; the server may start."
    if text:
        posix.write(2, text.encode() + b"\n")
    return 0 if allowed else 1


def _read() -> bytes:
    parts = []
    size = 0
    try:
        while size <= LIMIT and (part := posix.read(0, 65536)):
            parts.append(part)
            size += len(part)
    except OSError:  # it is closed: then there is nothing to be read
        return b""
    return b"".join(parts)


def _is_incoming(folder: str, name: str) -> bool:
    """Say whether libvirt receives or restores the server: then it gives its running form."""
    if "/" in name or name.startswith("."):
        return False
    mark = f"{folder}/{name}"
    try:
        age = time.time() - posix.stat(mark).st_mtime
        posix.unlink(mark)
    except OSError:
        return False
    return age < MARK_AGE


def _announce(socket: str) -> int:
    """Tell the agent which server is coming, and nothing else of its XML: it has the console's password."""
    try:
        server_id = _read().partition(b"<uuid>")[2][:36]
        _ask(socket, COMING.encode(), server_id, FOR_COMING)
    except OutOfTime:
        pass
    return 0


def _ask(path: str, form: bytes, xml: bytes, seconds: float) -> tuple[bool, str] | None:
    """Return what the agent says; None when it is not there or too slow."""
    deadline = time.monotonic() + seconds
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
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
        agent.close()
    word, _, text = answer.partition(b"\n")
    return (word == b"allow", text.decode()) if word in {b"allow", b"refuse"} else None


def _alone(folder: str, form: bytes, xml: bytes, paths: list[str]) -> tuple[bool, str]:
    gc.disable()  # there will be little to collect before the process ends
    sys.path += paths
    from sealward.node_agent.gate import offline  # noqa: PLC0415 - only now it can be found

    return offline.decide(folder, form.decode(), xml, OutOfTime)


def _ring(_number: int, _frame: object) -> None:
    raise OutOfTime


if __name__ == "__main__":
    run(sys.argv[1:])  # as the hook did that an earlier version installed
