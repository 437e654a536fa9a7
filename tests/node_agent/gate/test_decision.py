"""Each decision of the start gate parses the domain's XML once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gated import Gated, gated_node
from lxml import etree
from running import WEB

from sealward.events.base import utc_now
from sealward.node_agent.gate.decision import decision
from sealward.node_agent.gate.decision.conclusion import Conclusion
from sealward.node_agent.gate.decision.judge import Reason
from sealward.node_agent.measuring import canonical

OTHER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    """Give a node whose policy refuses, with one signed server."""
    with gated_node(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture
def parsed(gated: Gated, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stop the node's agent, and give the list of the domains that are parsed from now on."""
    gated.sealward.embedded.agent.stop()
    documents: list[bytes] = []
    parse = canonical.parse

    def counted(xml: str | bytes, root_tag: str = "domain") -> etree._Element:
        if root_tag == "domain":
            documents.append(xml if isinstance(xml, bytes) else xml.encode())
        return parse(xml, root_tag)

    monkeypatch.setattr(canonical, "parse", counted)
    return documents


def _decided(gated: Gated, xml: str, form: str) -> Conclusion:
    return decision.decide(str(gated.node), form, xml.encode(), utc_now(), is_answered=lambda _: True)


@pytest.mark.parametrize("form", [decision.CONFIG, decision.LIVE])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("", ""), None),
        (("</memory>", "1</memory>"), Reason.DIFFERS),
        (("</uuid>", "0</uuid>"), Reason.UNREADABLE),
        ((WEB, OTHER), Reason.PLACE),
    ],
)
def test_the_xml_is_parsed_once(
    gated: Gated, parsed: list[bytes], form: str, change: tuple[str, str], reason: Reason | None
) -> None:
    """Parsing is the larger part of what a decision costs: findings and the running form work on copies."""
    xml = gated.xml.replace(*change)
    conclusion = _decided(gated, xml, form)

    assert conclusion.reason is reason
    assert parsed == [xml.encode()]


def test_findings_are_those_of_the_xml_as_it_came(gated: Gated, parsed: list[bytes]) -> None:
    """Measuring takes a tree apart: the findings must not be made of what is left of that tree."""
    first = _decided(gated, gated.xml.replace("</memory>", "1</memory>"), decision.CONFIG)

    assert [(one.section, one.xpath) for one in first.findings] == [("memory", "/domain/memory/text()")]
    assert len(parsed) == 1
