"""Code that another user can change, or has planted in the installed package: the start gate is degraded.

These tests change the package that all tests run, so they run alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealward.events.enforcement import Gate
from sealward.node_agent.gate import code, hook
from sealward.node_agent.gate.guarded import PathRefused

NOBODY = 65534

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to be misled"),
]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Callable[[], hook.Standing]]:
    """Return what says how an installed gate stands."""
    node = tmp_path / "sw" / "node"
    hook.install(tmp_path / "hooks", node, node / "gate.sock", tmp_path / "in")
    assert hook.standing(node).gate is Gate.ACTIVE
    yield lambda: hook.standing(node)
    assert hook.standing(node).gate is Gate.ACTIVE


COMPILED = f"__pycache__/{{}}.{sys.implementation.cache_tag}.pyc"


@pytest.mark.parametrize(
    "name",
    [
        "node_agent/gate/" + COMPILED.format("client"),
        "node_agent/gate/" + COMPILED.format("decision"),
        "events/" + COMPILED.format("dsse"),
        "node_agent/gate/json.pyc",
        "node_agent/gate/_socket.py",
        "events/policy.so",
    ],
)
def test_planted_code_is_noticed(standing: Callable[[], hook.Standing], name: str) -> None:
    """Each file of the package that Python would run in the place of an installed file."""
    path = code.PACKAGE / name
    times = None
    before = path.read_bytes() if path.exists() else None
    if before is not None:
        times = path.stat()
    try:
        path.write_bytes((before or b"")[:16] + b"planted")
        if times is not None:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        found = standing()
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)

    assert (found.gate, found.reason) == (Gate.DEGRADED, "client-changed")


@pytest.mark.parametrize("name", ["py.typed", "node_agent/gate/client.py", "node_agent/gate/__pycache__"])
def test_code_that_others_can_change_is_no_gate(
    standing: Callable[[], hook.Standing], tmp_path: Path, name: str
) -> None:
    """Neither active, nor installed."""
    path = code.PACKAGE / name
    os.chown(path, NOBODY, NOBODY)
    try:
        found = standing()
        with pytest.raises(PathRefused, match="others can change it"):
            hook.install(tmp_path / "more", tmp_path / "node", tmp_path / "sock", tmp_path / "in")
    finally:
        os.chown(path, 0, 0)

    assert (found.gate, found.reason) == (Gate.DEGRADED, "client-not-protected")
    assert not (tmp_path / "more").exists()
