"""The report about a node's firmware files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.node_agent.files.firmware import Firmware


class FirmwareReport:
    """Reports which firmware files a node has. `send` takes a report to the control plane."""

    def __init__(self, firmware: Firmware, hostname: str, send: Callable[[reports.AnyReport], None]) -> None:
        self._firmware = firmware
        self._hostname = hostname
        self._send = send
        self._reported: dict[str, str] | None = None

    def report(self) -> None:
        """Report the firmware files, if they differ from the last report."""
        found = self._firmware.measure()
        if found is not None and found != self._reported:
            self._send(reports.Firmware(hostname=self._hostname, files=found))
            self._reported = found

    def accept(self, files: Mapping[str, str] | None) -> None:
        """Take over which files an administrator has accepted."""
        self._firmware.accept(files)

    def begin(self, accepted: Mapping[str, str] | None) -> None:
        """Take over which files are accepted, and report the files with the next `report` in any case."""
        self.accept(accepted)
        self._reported = None
