"""What a command costs at stream length 1,000 against length 1, on PostgreSQL.

All of it: load, decide, append, snapshots. Means, not medians: a snapshot now and then is part of the cost.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from private import postgres_server
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.messages import RequestValidation
from sealward.commands.writer.handler import Handler
from sealward.events.base import utc_now
from sealward.events.store.postgres import postgres

LENGTH = 1000
COMMANDS = 100
ROUNDS = 9
NODE = Reporter("kvm1", 1)


def command(server_id: str) -> RequestValidation:
    """Return a command that gives one event in each state."""
    return RequestValidation(
        context=RequestContext(actor="user:admin", task_id=str(uuid.uuid4())), server_id=server_id
    )


def mean_ms(handler: Handler, servers: list[str]) -> float:
    """Return what one command on each of the streams costs, in milliseconds."""
    began = time.perf_counter()
    for one in servers:
        handler.handle(command(one))
    return (time.perf_counter() - began) / len(servers) * 1000


def fresh(handler: Handler) -> list[str]:
    """Return servers whose streams have one event."""
    servers = [str(uuid.uuid4()) for _ in range(COMMANDS)]
    NODE.sign(handler, servers)
    return servers


def main() -> int:
    """Print both costs and their ratio; 1 when a long stream costs too much."""
    with postgres_server() as server:
        store = postgres(server.url())
        handler = Handler(store, None, clock=utc_now, fresh_for=timedelta(minutes=15))
        (long, *_) = fresh(handler)
        for _ in range(LENGTH):
            handler.handle(command(long))
        turns = [
            (mean_ms(handler, fresh(handler)), mean_ms(handler, [long] * COMMANDS)) for _ in range(ROUNDS)
        ]
        store.close()
    at_one, at_thousand = (statistics.median(turn[which] for turn in turns) for which in (0, 1))
    ratio = statistics.median(turn[1] / turn[0] for turn in turns)
    print(f"a command at stream length 1: {at_one:.3f} ms, at {LENGTH} and beyond: {at_thousand:.3f} ms")
    return report(Bound("a command at stream length 1,000 against 1", ratio, 1.2, "x", most=True))


if __name__ == "__main__":
    sys.exit(main())
