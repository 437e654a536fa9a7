"""`make stack`: the processes and settings of compose.yaml, on private servers, until Ctrl-C.

A process that dies is started again, so that `kill -9` can be tried on each process.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from stack.processes import NotStarted
from stack.sealward import Stack


def restart(stack: Stack) -> None:
    """Start processes again that have died, as compose and systemd would. Raises NotStarted."""
    for name, process in tuple(stack.processes.items()):
        if process.poll() is not None:
            print(f"{name} ended with status {process.returncode}; it is started again", flush=True)
            if process.returncode > 0:
                print(stack.log(name)[-2000:], flush=True)
            stack.start_process(name)


def main() -> int:
    """Start the stack, say where it is, and end it on Ctrl-C."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    folder = Path(tempfile.mkdtemp(prefix="sw-", dir="/tmp"))
    folder.chmod(0o755)
    stack = Stack(folder)
    print("starting PostgreSQL, RabbitMQ, api x2, worker x2, agent ...", flush=True)
    try:
        stack.start()
        print(f"logs and data in {folder}\n\n  token={stack.token}")
        for name, url in stack.apis.items():
            print(f'  curl -H "X-Auth-Token: $token" {url}/v1/server   # {name}')
        print(f"\nAMQP {stack.rabbitmq.url}\nPostgreSQL {stack.postgres.url()}\nCtrl-C ends it.", flush=True)
        while not stopped.wait(1):
            restart(stack)
    except NotStarted as failed:
        print(f"stack: {failed}", file=sys.stderr)
        return 2
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
