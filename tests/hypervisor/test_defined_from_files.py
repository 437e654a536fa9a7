"""Files from which a cloud defines domains later, as nova's unrescue.xml: what they define is measured."""

from __future__ import annotations

from dataclasses import replace

from nodes import PrivateNode, watching
from running import until

from stack.guest import Guest


def test_a_changed_unrescue_xml_is_false(node: PrivateNode) -> None:
    """A rescue is a difference, its end is none, and a file that was changed meanwhile is a difference."""
    guest = node.define(replace(Guest(node.guests), boots=True))
    file = node.guests / "unrescue.xml"
    file.write_text(guest.config)
    with watching(node, sweep_interval=1.0) as sealward:
        sealward.action("activate")
        sealward.sign(guest.server_id)
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.redefine("panic=1", "panic=1 rescue")
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        node.connection.defineXML(file.read_text())
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        file.write_text(file.read_text().replace("panic=1", "panic=1 init=/evil"))
        node.connection.defineXML(file.read_text())
        until(lambda: sealward.is_valid(guest.server_id) == "false")
