"""docs/openstack.md shows what really happens: its examples run in order, and print what stands there.

`python -m pytest tests/openstack/test_docs.py` with SEALWARD_REWRITE_DOCS=1 writes what they print into it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cloud import Cloud
from running import WEB, Running, until

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "openstack.md"
URL = "http://127.0.0.1:9362"
VARIES = (
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME"),
    (r"req-[0-9a-f-]{36}", "REQUEST"),
)


def normal(text: str) -> str:
    """Return the text without what no two runs have in common."""
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return text


class Shell:
    """A shell that keeps its variables from line to line."""

    def __init__(self, cloud: Cloud, sealward: Running, openstack: Path, folder: Path) -> None:
        self._sealward = sealward
        self._folder = folder
        self._variables = folder / "variables"
        self._variables.touch()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        path = f"{openstack.parent}:{Path(sys.executable).parent}:{clean['PATH']}"
        self._env = clean | cloud.keystone.environment() | {"PATH": path}

    def run(self, line: str) -> str:
        """Run a line and return what it printed, errors among it."""
        if line.startswith("# Somebody"):
            self._sealward.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other-disk")
            until(lambda: self._sealward.is_valid(WEB) == "false")
            return ""
        line = line.removeprefix("$ ").replace(URL, self._sealward.url)
        script = f"set -a; . {self._variables}; {line}\nset | grep ^etag= > {self._variables}"
        return self._output(["/bin/bash", "-c", script], "")

    def python(self, text: str) -> str:
        """Run a program and return what it printed."""
        return self._output([sys.executable, "-"], text)

    def _output(self, words: list[str], given: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own examples
            words,
            cwd=self._folder,
            env=self._env,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.replace(self._sealward.url, URL)


def played(shell: Shell, document: str) -> str:
    """Return the document as it would be if it were written now."""

    def block(found: re.Match[str]) -> str:
        kind, text = found.groups()
        if kind == "python":
            return f"```python\n{text}```\n\n```text\n{shell.python(text)}```\n"
        lines = [line for line in text.splitlines() if line.startswith(("$ ", "# "))]
        return "```console\n" + "".join(f"{line}\n{shell.run(line)}" for line in lines) + "```\n"

    text = re.sub(r"(```python\n.*?```\n)\n```text\n.*?```\n", r"\1", document, flags=re.DOTALL)
    return re.sub(r"```(console|python)\n(.*?)```\n", block, text, flags=re.DOTALL)


@pytest.mark.timeout(300)  # one command after the other, each a second or more
def test_the_examples_are_what_happens(
    cloud: Cloud, sealward: Running, openstack: Path, tmp_path: Path
) -> None:
    """Times and ids apart, to the letter."""
    cloud.forget()
    written = DOCUMENT.read_text(encoding="utf-8")
    now = played(Shell(cloud, sealward, openstack, tmp_path), written)
    if os.environ.get("SEALWARD_REWRITE_DOCS"):
        DOCUMENT.write_text(now, encoding="utf-8")

    assert normal(now) == normal(written)
