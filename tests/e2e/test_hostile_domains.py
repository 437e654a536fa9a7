"""A domain whose description is made to hurt costs one server its verdict, and nobody else anything."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest
from running import DATABASE, WEB, running, until

from sealward.node_agent.hypervisor import domains
from sealward.node_agent.hypervisor.domains import DomainXml

WIDE = "".join(f"<a xmlns='urn:{number}'/>" for number in range(600))
HOSTILE = {
    "an entity bomb": "<!DOCTYPE d [<!ENTITY a 'xx'><!ENTITY b '&a;&a;'>]><domain><name>&b;</name></domain>",
    "a file of the host": "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>",
    "nesting without end": "<domain>" + "<a>" * 100_000 + "</a>" * 100_000 + "</domain>",
    "megabytes of text": f"<domain><name>{'x' * 5_000_000}</name></domain>",
    "a hundred thousand elements": "<domain>" + "<a/>" * 100_001 + "</domain>",
    "namespaces by the hundred": f"<domain>{WIDE}</domain>",
    "no XML": "\x00\x01",
    "nothing": "",
}


@pytest.mark.parametrize("xml", HOSTILE.values(), ids=HOSTILE)
def test_it_is_unknown_with_a_reason_and_the_others_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xml: str
) -> None:
    """Soon, by the event that a change gives; the agent goes on, and the server can come back."""
    describe = domains.described
    hostile: set[str] = set()

    def described(connection: libvirt.virConnect, domain: libvirt.virDomain, version: str) -> DomainXml:
        real = describe(connection, domain, version)
        if domain.UUIDString() not in hostile:
            return real
        return DomainXml(xml, xml, real.hypervisor, real.driver)

    monkeypatch.setattr(domains, "described", described)
    with running(tmp_path) as sealward:
        for server_id in (WEB, DATABASE):
            sealward.sign(server_id)
        hostile.add(WEB)
        sealward.fleet.define(sealward.fleet.xml(WEB))
        until(lambda: sealward.is_valid() == "unknown", 5)
        assert sealward.verdict()["reasons"] == ["domain-unreadable"]
        sealward.fleet.replace(DATABASE, "<vcpu placement='static'>", "<vcpu placement='auto'>")
        until(lambda: sealward.is_valid(DATABASE) == "false")
        hostile.clear()
        sealward.fleet.define(sealward.fleet.xml(WEB))
        until(lambda: sealward.is_valid() == "true")
