"""Descriptions made to hurt that libvirt itself takes and gives: bounded time and memory, a clear verdict."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
from nodes import PrivateNode, watching
from running import until

from stack.guest import Guest

MIB = 1024 * 1024
MEASURED = {
    "three megabytes of text": f"<b>{'x' * 3 * MIB}</b>",
    "nesting up to libvirt's limit": "<b>" * 230 + "</b>" * 230,
    "ten thousand elements": "<b c='d'/>" * 10_000,
}
"""What is large and can be measured."""
REFUSED = {
    "more than a hundred thousand elements": "<b/>" * 100_001,
    "namespaces by the hundred": "".join(f"<b xmlns='urn:{number}'/>" for number in range(600)),
    "attributes by the hundred": "<b " + " ".join(f"a{number}=''" for number in range(600)) + "/>",
    "four times as long when libvirt writes it": f"<b>{'>' * 2 * MIB}</b>",
}
"""What libvirt takes and nobody is to measure, or libvirt itself cannot give any more."""
GROWTH = 400
"""Megabytes that all of it may cost at its highest."""


def _hurt(guest: Guest, more: str) -> str:
    """Return the guest's XML with that in its metadata."""
    return guest.xml.replace("</metadata>", f"<app:a xmlns:app='urn:app'>{more}</app:a></metadata>")


@pytest.mark.parametrize(
    ("more", "is_valid", "reason"),
    [
        *((more, "false", "measurement-differs") for more in MEASURED.values()),
        *((more, "unknown", "domain-unreadable") for more in REFUSED.values()),
    ],
    ids=[*MEASURED, *REFUSED],
)
def test_it_costs_one_server_its_verdict(node: PrivateNode, more: str, is_valid: str, reason: str) -> None:
    """What is large is compared, what is more than that is unknown; the others are looked at meanwhile."""
    guest, other = Guest(node.guests), replace(Guest(node.guests), number=2)
    one, two = node.define(guest), node.define(other)
    with watching(node, sweep_interval=2.0) as sealward:
        until(lambda: len(sealward.ask("GET", "/v1/server").json["servers"]) == 2)
        for server_id in (one.server_id, two.server_id):
            assert sealward.sign(server_id)["is_valid"] == "true"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        node.connection.defineXML(_hurt(guest, more))
        until(lambda: sealward.is_valid(one.server_id) == is_valid, 30)
        verdict = sealward.verdict(one.server_id)
        two.redefine("qemu64", "qemu32")
        until(lambda: sealward.is_valid(two.server_id) == "false", 30)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        size = len(sealward.ask("GET", f"/v1/sign/{one.server_id}/verdict").body)
        node.connection.defineXML(guest.xml)
        until(lambda: sealward.is_valid(one.server_id) == "true", 30)

    assert verdict["reasons"] == [reason]
    assert size < MIB
    assert grown < GROWTH
