"""Which tests run in the same process, where pytest-xdist runs several: those that share servers."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

APART: Final = ("tests/hypervisor/", "tests/simulation/")
"""Folders whose tests share nothing and take long: each of these tests goes where a process is free."""
KEYSTONE: Final = "tests/openstack/"
TOPOLOGY: Final = {
    f"tests/e2e/test_{name}.py"
    for name in ("celery", "gate", "openapi", "operating", "subscribing", "topology", "watching")
}
"""Files whose tests share the running topology. A file that is missing here costs time, and nothing else."""


class BySharedServers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Gives all tests that share servers to one process: by default the tests of a file.

    The groups of pytest-xdist 3.8 have no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what the tests that belong together have in common."""
        path = nodeid.partition("::")[0]
        if path.startswith(APART):
            return nodeid
        if path in TOPOLOGY:
            return "topology"
        return KEYSTONE if path.startswith(KEYSTONE) else path
