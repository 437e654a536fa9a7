"""Which tests run in the same process, where pytest-xdist runs several: those that share servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

APART: Final = ("tests/hypervisor/", "tests/simulation/")
"""Folders whose tests share nothing and take long: each of these tests goes where a process is free."""
KEYSTONE: Final = "tests/openstack/"
TOPOLOGY: Final = {
    f"tests/e2e/test_{name}.py"
    for name in ("celery", "gate", "openapi", "operating", "subscribing", "topology", "watching")
}
"""Files whose tests share the running topology. A file that is missing here costs time, and nothing else."""
ATTACKED: Final = {
    f"tests/attacks/test_{name}.py" for name in ("one_nodes_flood", "real_broker", "what_nodes_are_told")
}
"""Files whose tests share the topology that is attacked."""

LONGEST: Final = (
    "topology",
    KEYSTONE,
    "attacked",
    "tests/e2e/test_storms.py",
    "tests/e2e/test_outage.py",
    "tests/attacks/test_held_up_database.py",
    "tests/attacks/test_what_was_read_runs.py",
    *APART,
)
"""What takes longest begins first: a process that begins a minute's work last keeps all others waiting."""


def scope(nodeid: str) -> str:
    """Return what the tests that belong together have in common."""
    path = nodeid.partition("::")[0]
    if path.startswith(APART):
        return nodeid
    if path in TOPOLOGY:
        return "topology"
    if path in ATTACKED:
        return "attacked"
    return KEYSTONE if path.startswith(KEYSTONE) else path


def order(item: pytest.Item) -> int:
    """Return where a test comes: the tests of the longest scope first, those of short scopes last."""
    found = scope(item.nodeid)
    return next((at for at, one in enumerate(LONGEST) if found.startswith(one)), len(LONGEST))


class BySharedServers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Gives all tests that share servers to one process: by default the tests of a file.

    The groups of pytest-xdist 3.8 have no effect with pytest 9.2.
    """

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False  # it puts many short tests before few long ones
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
