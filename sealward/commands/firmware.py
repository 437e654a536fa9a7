"""What becomes of a node's firmware: what is found first is accepted, anything else by an administrator.

The first one is believed as the node's key is: at its registration. Nothing else is ever absorbed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sealward.commands.errors import FirmwareIsAnother, FirmwareUnknown
from sealward.commands.fact import asked_by
from sealward.events import firmware as firmwares
from sealward.events import node as facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealward.commands.messages import AcceptFirmware, NodeCommand, RecordFirmware
    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def record(node: Node, command: RecordFirmware, *, now: datetime) -> list[Event]:
    """Record what a node found, where that is news."""
    if node.firmware is None:
        return [_accepted(node, command, command.files, now)]
    if command.files == node.firmware.found:
        return []
    changed = facts.NodeFirmwareChanged(
        timestamp=now,
        actor=command.actor,
        node_id=node.node_id,
        hostname=node.hostname,
        digest=firmwares.digest(command.files),
        files=dict(command.files),
        findings=firmwares.differences(replace(node.firmware, found=command.files)),
    )
    return [changed]


def accept(node: Node, command: AcceptFirmware, *, now: datetime) -> list[Event]:
    """Accept what was found, as long as it is what was looked at.

    Raises FirmwareUnknown, FirmwareIsAnother.
    """
    if node.firmware is None:
        raise FirmwareUnknown
    if command.digest != firmwares.digest(node.firmware.found):
        raise FirmwareIsAnother
    if node.firmware.found == node.firmware.accepted:
        return []
    return [_accepted(node, command, node.firmware.found, now)]


def _accepted(node: Node, command: NodeCommand, files: Mapping[str, str], now: datetime) -> Event:
    return facts.NodeFirmwareAccepted(
        timestamp=now,
        **asked_by(command),
        node_id=node.node_id,
        hostname=node.hostname,
        digest=firmwares.digest(files),
        files=dict(files),
    )
