"""docs/tour.md shows what the tour really prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOUR = Path(__file__).parent.parent / "docs" / "tour.md"
VARIES = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME"),
    (r"req-[0-9a-f-]{36}", "REQUEST"),
    (r'(/v1/task/|"task_id": ")[0-9a-f-]{36}', r"\1TASK"),
    (r"\d+ ms later", "N ms later"),
    (r'(node:|"hostname": ")[^"]+', r"\1HOST"),
    (r"digest [0-9a-f]{64}", "digest DIGEST"),
    (r"\b\d+ events up to position \d+", "N events up to position N"),
)


def normal(text: str) -> str:
    """Return the text without what no two tours have in common."""
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return text


def test_the_page_shows_the_tour_as_it_is() -> None:
    """Times, ids and ports apart, the output on the page is that of `sealward demo`."""
    done = subprocess.run(
        [sys.executable, "-m", "sealward", "demo"], capture_output=True, text=True, timeout=60, check=False
    )
    shown = TOUR.read_text(encoding="utf-8").split("```")[1]

    assert done.returncode == 0
    assert normal(shown.lstrip("\n")) == normal(done.stdout)
