"""Decoders are made by one thread at a time."""

from __future__ import annotations

import subprocess
import sys

FIRST_USES = """
import sys, threading
from dataclasses import make_dataclass
from typing import Annotated
import msgspec
from sealward.events import typed

sys.setswitchinterval(1e-6)
NAMES = [f"field{number}" for number in range(12)]
TEXT = msgspec.json.encode(dict.fromkeys(NAMES, "value"))
SHORT = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern="^[a-z]+$")]

def first_use(call, kind):
    everybody = threading.Barrier(6)
    def use():
        everybody.wait()
        call(kind)
    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

for number in range(150):
    inner = make_dataclass(f"Inner{number}", [(name, SHORT) for name in NAMES], frozen=True)
    first_use(lambda kind: CALL, inner)
"""


def test_threads_that_use_a_type_at_once_for_the_first_time() -> None:
    """The process lives: an API was ended by SIGSEGV when its first two requests came at once."""
    for call in ("typed.decode(TEXT, kind)", "typed.convert(dict.fromkeys(NAMES, 'value'), kind)"):
        assert _status(call) == 0


def test_the_library_itself_takes_no_turns() -> None:
    """Without the lock the same uses end the process; once they do not, `typed` can go."""
    assert _status("msgspec.json.decode(TEXT, type=kind)") < 0


def _status(call: str) -> int:
    script = FIRST_USES.replace("CALL", call)
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script], timeout=60, check=False, capture_output=True
    )
    return done.returncode
