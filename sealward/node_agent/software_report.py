"""The report about the software of a node: the version of the agent, its profile, and libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.events.comparison.measurement import LIBVIRT_DOMAIN
from sealward.events.version import own
from sealward.protocol import reports
from sealward.protocol.desired import Software

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.node_agent.hypervisor.hypervisor import Hypervisor


class SoftwareReport:
    """Reports the software of a node. `send` takes a report to the control plane.

    Nothing is reported to a control plane of a version that does not keep the software of nodes.
    """

    def __init__(
        self, hypervisor: Hypervisor, hostname: str, send: Callable[[reports.AnyReport], None]
    ) -> None:
        self._hypervisor = hypervisor
        self._hostname = hostname
        self._send = send
        self._reported: Software | msgspec.UnsetType | None = msgspec.UNSET

    def report(self) -> None:
        """Report the software, if it differs from the last report."""
        found = Software(own(), LIBVIRT_DOMAIN, self._hypervisor.version or None)
        if isinstance(self._reported, msgspec.UnsetType) or found == self._reported:
            return
        if found.hypervisor is None and self._reported is not None:
            found = msgspec.structs.replace(found, hypervisor=self._reported.hypervisor)
            if found == self._reported:
                return
        self._send(
            reports.Software(
                hostname=self._hostname,
                version=found.version,
                profile=found.profile,
                hypervisor=found.hypervisor,
            )
        )
        self._reported = found

    def begin(self, recorded: Software | msgspec.UnsetType | None) -> None:
        """Take over what the control plane has recorded."""
        self._reported = recorded
