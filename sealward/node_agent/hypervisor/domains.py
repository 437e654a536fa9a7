"""What libvirt says of its domains, asked over a connection that is open.

Every function of this module makes calls to libvirt, which may hang, and raises libvirt's own libvirtError.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

import libvirt

from sealward.characters import escaped
from sealward.node_agent.hypervisor.named import NOTHING, Named

NAME: Final = 255
"""Bytes of a domain's name that are reported. libvirt names a file after each domain."""
IN_TRANSIT: Final = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
)
"""Why a domain is paused at an end of a migration. At the source, the guest goes on at the destination."""
NOT_YET: Final = (libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, *IN_TRANSIT)
"""Why a paused domain does not run here. At the destination of a migration a domain is paused as "starting
up" first, and then for the migration (libvirt 9.0, observed)."""
_GOING: Final = frozenset(
    (
        *((libvirt.VIR_DOMAIN_PAUSED, reason) for reason in IN_TRANSIT),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED),
    )
)
"""States and reasons of a domain in transit, and of a domain that was migrated out and is still defined."""
_NO_JOB: Final = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_NO_SUPPORT,
)
"""How libvirt refuses to tell the job of a domain: the domain has stopped or is coming in by a migration, or
its driver knows no jobs."""

_NO_BACKUP: Final = (
    libvirt.VIR_ERR_NO_DOMAIN_BACKUP,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_NO_SUPPORT,
)
"""How libvirt says that no backup of a domain runs, or that its driver makes no backups."""


_NO_SAVE: Final = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_INVALID)
"""How libvirt says that a driver knows no managed saves, or that a managed save has gone meanwhile."""


@dataclass(frozen=True, slots=True)
class DomainXml:
    """A domain as libvirt describes it: persistent, running (None when shut off), and libvirt's version.

    `driver` is libvirt's name for the kind of hypervisor: "QEMU", "Test".

    Never the SECURE form: the agent does not hold passwords.
    """

    config: str
    live: str | None
    hypervisor: str
    driver: str
    named: Named = NOTHING
    """What the domain names of libvirt's networks, filters, pools and volumes."""
    tainted: tuple[str, ...] | None = ()
    """libvirt's messages about taints of a running domain; None where its driver has none."""
    backup: str | None = None
    """libvirt's XML of the backup that runs (<domainbackup>); None where no backup runs."""

    saved: str | None = None
    """The form that a server runs in when it is started from its managed save; None where it has none."""
    saved_path: str | None = None
    """Where libvirt has the image of the managed save."""
    was_saved: bool = False
    """Whether libvirt has saved the server since libvirt was asked about the server last."""
    is_watched: bool = False
    """Whether libvirt's events about the server were heard since it was asked about the server last."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Whether libvirt has a domain, and whether libvirt migrates the domain out or has migrated it out.

    `is_under_way` says whether the migration has still to end.
    """

    has: bool
    leaving: bool = False
    is_under_way: bool = False


def listed(connection: libvirt.virConnect) -> list[tuple[str, str]]:
    """Return (server_id, instance_name) of every domain, by server_id."""
    return sorted((one.UUIDString(), escaped(one.name(), NAME)) for one in connection.listAllDomains())


def running(connection: libvirt.virConnect) -> frozenset[str]:
    """Return the ids of the domains that run, or ran here and were paused by an administrator."""
    run = connection.listAllDomains(
        libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        | libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING
        | libvirt.VIR_CONNECT_LIST_DOMAINS_OTHER
    )
    paused = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED)
    return frozenset(one.UUIDString() for one in (*run, *filter(_stays, paused)))


def leaving(connection: libvirt.virConnect) -> frozenset[str]:
    """Return the ids of the domains that are in transit, or were migrated out and are still defined."""
    found = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    states = ((domain, said.get("state.state"), said.get("state.reason")) for domain, said in found)
    return frozenset(domain.UUIDString() for domain, *state in states if tuple(state) in _GOING)


def departure(connection: libvirt.virConnect, server_id: str) -> Departure:
    """Return whether a domain leaves this node now."""
    domain = connection.lookupByUUIDString(server_id)
    state, reason, *_ = domain.state()
    if (state, reason) in _GOING:
        return Departure(has=True, leaving=True, is_under_way=state == libvirt.VIR_DOMAIN_PAUSED)
    going = bool(domain.isActive()) and _is_migrated_out(domain)
    return Departure(has=True, leaving=going, is_under_way=going)


def described(connection: libvirt.virConnect, domain: libvirt.virDomain, version: str) -> DomainXml:
    """Return the XML of a domain, with the version of libvirt that describes the domain."""
    config = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    live = domain.XMLDesc(0) if domain.isActive() else None
    driver = str(connection.getType())
    if live is None:
        return DomainXml(config, None, version, driver, saved=_saved(domain))
    return DomainXml(config, live, version, driver, tainted=_tainted(domain), backup=_backup(domain))


def _saved(domain: libvirt.virDomain) -> str | None:
    """Return the form that libvirt keeps in the managed save of a domain; None where there is no save."""
    try:
        return str(domain.managedSaveGetXMLDesc(0)) if domain.hasManagedSaveImage(0) else None
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in _NO_SAVE:
            return None
        raise


def _tainted(domain: libvirt.virDomain) -> tuple[str, ...] | None:
    try:
        return tuple(domain.messages(libvirt.VIR_DOMAIN_MESSAGE_TAINTING))
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return None
        raise


def _backup(domain: libvirt.virDomain) -> str | None:
    """Return the XML of a running backup. QEMU's driver answers from memory, without asking the monitor."""
    try:
        return str(domain.backupGetXMLDesc())
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in _NO_BACKUP:
            return None
        raise


def is_persistent(connection: libvirt.virConnect, server_id: str) -> bool:
    """Return whether libvirt keeps a domain when it stops."""
    return bool(connection.lookupByUUIDString(server_id).isPersistent())


def found(connection: libvirt.virConnect, name: str) -> libvirt.virDomain:
    """Return the domain with that UUID or, where `name` is no UUID, with that name."""
    try:
        server_id = str(uuid.UUID(name))
    except ValueError:
        return connection.lookupByName(name)
    return connection.lookupByUUIDString(server_id)


def _stays(paused: libvirt.virDomain) -> bool:
    """Say whether a domain that was just listed as paused runs here.

    The domain may have left or stopped since it was listed.
    """
    try:
        state, reason = paused.state()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return state == libvirt.VIR_DOMAIN_RUNNING or (
        state == libvirt.VIR_DOMAIN_PAUSED and reason not in NOT_YET
    )


def _is_migrated_out(domain: libvirt.virDomain) -> bool:
    """Say whether the job of a running domain is a migration to another node."""
    try:
        job = domain.jobStats()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in _NO_JOB:
            return False
        raise
    return bool(job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
