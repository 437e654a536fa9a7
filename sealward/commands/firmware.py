"""Decides on a node's firmware files: pure functions.

The first files that a node reports are accepted, as its first key is. Files that differ from accepted files
are accepted by an administrator alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sealward.commands.errors import FirmwareIsAnother, FirmwareUnknown
from sealward.commands.fact import asked_by
from sealward.commands.membership import member
from sealward.events import firmware as firmwares
from sealward.events import node as facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealward.commands.messages import AcceptFirmware, NodeCommand, RecordFirmware
    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def record_firmware(node: Node | None, command: RecordFirmware, *, now: datetime) -> list[Event]:
    """Record the firmware files of a node, if they differ from its last report. Raises NotRegistered."""
    node = member(node)
    if node.firmware is None:
        return [_accepted(node, command, command.report.files, now)]
    if command.report.files == node.firmware.found:
        return []
    changed = facts.NodeFirmwareChanged(
        timestamp=now,
        actor=command.actor,
        node_id=node.node_id,
        hostname=node.hostname,
        digest=firmwares.digest(command.report.files),
        files=dict(command.report.files),
        findings=firmwares.differences(replace(node.firmware, found=command.report.files)),
    )
    return [changed]


def accept_firmware(node: Node | None, command: AcceptFirmware, *, now: datetime) -> list[Event]:
    """Accept the files of the last report, if they have the digest that the administrator names.

    Raises NotRegistered, FirmwareUnknown, FirmwareIsAnother.
    """
    node = member(node)
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
