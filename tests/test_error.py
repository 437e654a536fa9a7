"""Every exception of the package has one root, a message and a stable code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator

import sealward
from sealward.error import SealwardError

CODE = re.compile(r"[a-z]+([.-][a-z]+)*")
NOT_IMPORTED = (
    "sealward.__main__",
    "sealward.osc",
    "sealward.node_agent.gate.started",
    "sealward.node_agent.gate.writers",
)
"""What runs when it is imported, needs the openstack command, or is run where it lies."""
SAID_TWICE = {"report.malformed", "report.wrong-node"}
"""Refusals of a report that are found out in two places: where it is read, and where it is decided upon."""


def every(kind: type[SealwardError]) -> Iterator[type[SealwardError]]:
    """Return an exception's subclasses, and theirs."""
    for one in kind.__subclasses__():
        yield one
        yield from every(one)


def test_each_has_a_message_and_a_code_that_no_other_has() -> None:
    """A program that compares codes never takes one refusal for another."""
    for module in pkgutil.walk_packages(sealward.__path__, "sealward."):
        if not module.name.startswith(NOT_IMPORTED):
            importlib.import_module(module.name)
    kinds = [one for one in every(SealwardError) if one.__module__.startswith("sealward.")]

    assert len(kinds) > 60
    assert [one.__name__ for one in kinds if not one.__doc__ or not CODE.fullmatch(one.code)] == []
    codes = Counter(one.code for one in kinds)
    assert {code for code, number in codes.items() if number > 1} == SAID_TWICE
    assert SealwardError.code not in codes
