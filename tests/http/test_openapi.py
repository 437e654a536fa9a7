"""The OpenAPI document: made of what routes and checks requests, and found true by schemathesis."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import ADMIN, WEB, Running

from sealward.http.app import operations
from sealward.http.metrics import Metrics
from sealward.http.openapi import document, refusals
from sealward.http.operation import Operation
from sealward.http.policy import RULES

DOCS = Path(__file__).parents[2] / "docs"
SEED = 7
EXAMPLES = 60
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200, 201, 202, 204, 304, 404, 409, 410, 412]  # what is well asked for may not be there
"""


@pytest.fixture(scope="module")
def described(shared: Running) -> dict[str, Any]:
    """Return the document as it is served, without a token."""
    answer = shared.ask("GET", "/openapi.json", headers={"X-Auth-Token": None})
    assert answer.status == 200
    return answer.json


@pytest.fixture(scope="module")
def calls(shared: Running) -> list[Operation]:
    """Return all calls."""
    door = shared.embedded.control_plane.door
    return operations(door, Metrics(door.monitor, public=True))


def test_the_published_document_is_the_served_one(described: dict[str, Any]) -> None:
    """`make schemas` writes docs/openapi.json."""
    assert json.loads((DOCS / "openapi.json").read_text(encoding="utf-8")) == described


def test_every_call_has_a_rule_or_is_public(calls: list[Operation]) -> None:
    """And every rule is about calls that there are."""
    routed = {(one.method, one.template) for one in calls if not one.public}
    ruled = {(method, path.partition("?")[0]) for rule in RULES for method, path in rule.operations}

    assert routed == ruled - {(one.method, one.template) for one in calls if one.public}


def test_names_and_summaries_tell_calls_apart(calls: list[Operation]) -> None:
    """Generated clients call their functions so."""
    names = [one.name for one in calls]

    assert len(set(names)) == len(names)
    assert all(one.summary.endswith(".") for one in calls)


def test_every_reason_is_in_the_documentation(calls: list[Operation]) -> None:
    """docs/api.md lists the reasons of each status: those of the calls, and no other."""
    listed: dict[int, set[str]] = {}
    table = (DOCS / "api.md").read_text(encoding="utf-8").partition("## Errors")[2]
    for statuses, reasons in re.findall(r"^\| ([\d, ]+) \| (.*) \|$", table, re.MULTILINE):
        for status in statuses.split(", "):
            listed.setdefault(int(status), set()).update(re.findall(r"`([a-z]+\.[a-z-]+|internal)`", reasons))
    answered: dict[int, set[str]] = {405: {"method.not-allowed"}, 500: {"internal"}}
    for one in calls:
        for status, reasons in refusals(one).items():
            answered.setdefault(status, set()).update(reasons)
    together = listed[401] | listed[413]  # each of these lines is about two statuses

    assert {status: reasons - together for status, reasons in listed.items()} == {
        status: reasons - together for status, reasons in answered.items()
    }
    assert together == answered[401] | answered[403] | answered[413] | answered[415]


def test_schemathesis_finds_nothing(sealward: Running, tmp_path: Path) -> None:
    """All its checks in all its phases, over real HTTP, with a fixed seed: no 500, nothing undocumented."""
    sealward.sign(WEB)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{sealward.url}/openapi.json"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--header", f"X-Auth-Token: {ADMIN}", "--request-timeout", "20"),
            *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--continue-on-failure"),
            *("--generation-database", "none", "--no-color", "--suppress-health-check", "all"),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_document_knows_its_own_order(calls: list[Operation]) -> None:
    """Whatever the order of the calls, the document is the same."""
    assert document(calls) == document(calls[::-1])
