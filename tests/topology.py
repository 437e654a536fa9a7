"""The whole topology for tests, in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from running import until

from stack.sealward import Stack


@contextlib.contextmanager
def topology(settings: dict[str, str]) -> Iterator[Stack]:
    """Yield it running, once its node has reported its four servers."""
    folder = Path(tempfile.mkdtemp(prefix="sw-"))
    folder.chmod(0o755)
    made = Stack(folder, settings)
    try:
        made.start()
        until(lambda: len(made.ask("GET", "/v1/server")[1]["servers"]) == 4, 30)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
