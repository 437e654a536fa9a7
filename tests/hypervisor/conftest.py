"""Private nodes with real QEMU guests: skipped loudly where a machine cannot have them, never in CI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import PrivateNode, Running, private_node

from stack.guest import Guest
from stack.libvirtd import why_not


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that real hypervisors were not tested."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if "hypervisor" in one.nodeid]
    if skipped:
        terminalreporter.section("NOT TESTED on real hypervisors", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests: {why_not()}")


@pytest.fixture
def node(hypervisors: Path, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Return a node without domains and without an agent."""
    with private_node(hypervisors, "kvm-a", known_of_qemu) as one:
        yield one


@pytest.fixture
def other_node(hypervisors: Path, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Return another one."""
    with private_node(hypervisors, "kvm-b", known_of_qemu) as one:
        yield one


@pytest.fixture
def two_nodes(node: PrivateNode, other_node: PrivateNode) -> tuple[PrivateNode, PrivateNode]:
    """Return two nodes between which guests can move."""
    return node, other_node


@pytest.fixture
def guest(node: PrivateNode) -> Running:
    """Return a running guest of `node`: firmware that finds nothing to boot, which is enough for most."""
    return node.run(Guest(node.guests, password="first"))


@pytest.fixture
def booted(node: PrivateNode) -> Running:
    """Return a running guest that boots a kernel and an initrd of its own."""
    return node.run(Guest(node.guests, boots=True))
