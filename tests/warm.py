"""A Python program that is run often: its imports happen once, and each run is a fork of that.

`openstack` imports for 1.3 seconds of CPU time, its commands included, and then works for a tenth of one. Its
arguments, environment, folder, input, output and exit status are those of a process of its own all the same.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.processes import end, start, wait_until

PATIENCE = 60
STANDARD = (0, 1, 2)
"""Descriptors of input, output and errors."""
MOST = 1024 * 1024
"""Bytes of arguments and environment."""
CALLER = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    given = {{"words": sys.argv, "environment": dict(os.environ), "folder": os.getcwd()}}
    socket.send_fds(server, [json.dumps(given).encode()], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or b"70"))
"""
"""The program that stands for the real one. 70 is EX_SOFTWARE: the run ended without a status."""


@contextlib.contextmanager
def program(folder: Path, name: str, entry: str, commands: str) -> Iterator[Path]:
    """Yield a program of that name in a folder; `entry` is the `module:function` that its runs call.

    Its commands are in the groups of entry points whose names begin with `commands`.
    """
    address, log = folder / f"{name}.socket", folder / f"{name}.log"
    caller = folder / name
    caller.write_text(CALLER.format(python=sys.executable, address=str(address)))
    caller.chmod(0o755)
    server = start([sys.executable, __file__, str(address), *entry.split(":"), commands], log)
    try:
        wait_until(address.is_socket, server, log, PATIENCE)
        yield caller
    finally:
        end(server)


def load(commands: str) -> None:
    """Import what each run would import and look up: its commands, and which package each of them is from."""
    found = importlib.metadata.entry_points()
    for group in found.groups:
        for one in found.select(group=group) if group.startswith(commands) else ():
            with contextlib.suppress(ImportError):  # the program says so when the command is used
                one.load()
    command = importlib.import_module("cliff.command")
    getattr(
        command, "_get_distributions_by_modules", bool
    )()  # cliff keeps it; it reads all installed packages


def serve(address: str, module: str, function: str, commands: str) -> None:
    """Import, then fork for each caller, until this process is ended."""
    main = getattr(importlib.import_module(module), function)
    load(commands)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            caller, _ = listener.accept()
            with caller:
                if os.fork() == 0:
                    listener.close()
                    attend(caller, main)


def attend(caller: socket.socket, main: Callable[[], int | None]) -> None:
    """Run the program for a caller in a fork, and tell the caller its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    given, descriptors, _, _ = socket.recv_fds(caller, MOST, len(STANDARD))
    while part := caller.recv(MOST):
        given += part
    child = os.fork()
    if child == 0:
        caller.close()
        os._exit(run(json.loads(given), descriptors, main))
    _, status = os.waitpid(child, 0)
    caller.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


def run(given: dict[str, object], descriptors: list[int], main: Callable[[], int | None]) -> int:
    """Become a process of the program; return its exit status."""
    for ours, theirs in zip(STANDARD, descriptors, strict=True):
        os.dup2(theirs, ours)
    os.environ.clear()
    os.environ.update(given["environment"])  # type: ignore[call-overload]  # JSON has no types
    os.chdir(str(given["folder"]))
    sys.argv = list(given["words"])  # type: ignore[call-overload]  # as above
    try:
        sys.exit(main())
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve(*sys.argv[1:])
