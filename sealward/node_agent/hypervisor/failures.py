"""Why libvirt gave no description of a domain. Each code is a reason of an unknown verdict."""

from __future__ import annotations

from sealward.node_agent.measuring.not_measured import NotMeasured


class HypervisorGone(NotMeasured):
    """There is no connection to libvirt."""

    code = "libvirt-gone"


class DomainNotFound(NotMeasured):
    """Libvirt knows no such domain."""

    code = "domain-not-found"


class DomainUnreadable(NotMeasured):
    """Libvirt refuses to describe the domain, or describes it in XML that cannot be measured."""

    code = "domain-unreadable"


class DomainLocked(NotMeasured):
    """Libvirt is busy with the domain for longer than a call may take."""

    code = "domain-locked"
