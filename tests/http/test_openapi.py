"""The OpenAPI document: made of what routes and checks requests, and found true by schemathesis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amounts import examples
from fuzzing import findings
from running import ADMIN, WEB, Running

from sealward.http.app import operations
from sealward.http.monitoring.metrics import Metrics
from sealward.http.operation.openapi import document, refusals
from sealward.http.operation.operation import Operation

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def described(shared: Running) -> dict[str, Any]:
    """Return the document as it is served, without a token."""
    answer = shared.ask("GET", "/openapi.json", headers={"X-Auth-Token": None})
    assert answer.status == 200
    return answer.json


@pytest.fixture(scope="module")
def calls(shared: Running) -> list[Operation]:
    """Return all calls."""
    services = shared.embedded.control_plane.services
    return operations(services, Metrics(services.monitor, services.traffic, public=True))


def test_the_published_document_is_the_served_one(described: dict[str, Any]) -> None:
    """`make schemas` writes docs/openapi.json."""
    assert json.loads((DOCS / "openapi.json").read_text(encoding="utf-8")) == described


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    """To a schema or a header of the document."""

    def references(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                yield from references(one)

    for reference in set(references(described)):
        found: Any = described
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def test_a_call_needs_a_token_and_says_its_rule_or_is_public(
    calls: list[Operation], described: dict[str, Any]
) -> None:
    """Public are the descriptions of the API and of its health; some of their parameters need a token."""
    operations = {one["operationId"]: one for path in described["paths"].values() for one in path.values()}
    for call in calls:
        told = operations[call.name]
        assert (told["security"] == [{"token": []}]) == (call.rule is not None)
        assert all(f"`{rule.name}`" in told["description"] for rule in call.rules[:1])


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


@pytest.mark.heavy
def test_schemathesis_finds_nothing(sealward: Running, tmp_path: Path) -> None:
    """Over real HTTP: no 500, no undocumented status, no schema violation, no way around the token."""
    sealward.sign(WEB)

    assert findings(sealward.url, ADMIN, tmp_path, examples=examples(60)) == ""


@pytest.mark.heavy
def test_schemathesis_finds_nothing_in_what_cuts_a_node_off(sealward: Running, tmp_path: Path) -> None:
    """The calls after which a node is not believed any more."""
    assert findings(sealward.url, ADMIN, tmp_path, examples=examples(30), cut_off=True) == ""


def test_the_document_knows_its_own_order(calls: list[Operation]) -> None:
    """In any order of the calls, the document is the same."""
    assert document(calls) == document(calls[::-1])
