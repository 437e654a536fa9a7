"""What the hook does not load when it decides alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BEGIN = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sealward.node_agent.gate import sparing
sparing.defer("inspect")
"""


def said(code: str) -> str:
    """Run Python as the hook does; return what it printed."""
    words = [sys.executable, "-I", "-S", "-c", BEGIN + code]
    done = subprocess.run(  # noqa: S603 - code of this test
        words, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there `dataclasses` uses it for every class")
def test_what_reads_source_code_is_not_loaded() -> None:
    """A fifth of the time that the hook needs to be ready: each start waits for it."""
    loaded = said("from sealward.node_agent.gate.decision import offline\nprint(*sys.modules)").split()

    assert "sealward.node_agent.gate.decision.offline" in loaded
    assert {"ast", "dis", "tokenize", "linecache"}.isdisjoint(loaded)


@pytest.mark.parametrize(
    "use",
    [
        "import inspect; print(inspect.signature(lambda a, b: 0))",
        "from inspect import signature; print(signature(lambda a, b: 0))",
        "import inspect as first; first.Parameter; import inspect; print(inspect.signature(lambda a, b: 0))",
    ],
)
def test_whoever_uses_it_has_all_of_it(use: str) -> None:
    """However it is imported."""
    assert said(use) == "(a, b)"


def test_a_class_without_a_docstring_is_a_dataclass_all_the_same() -> None:
    """For its docstring `dataclasses` asks for the signature."""
    code = "from dataclasses import make_dataclass\nprint(make_dataclass('A', ['b']).__doc__)"

    assert said(code).startswith("A(b:")


def test_what_is_loaded_already_stays() -> None:
    """A process that has a resource keeps it."""
    assert said("import json as a; sparing.defer('json'); import json as b; print(a is b)") == "True"
