"""Block jobs: copies that libvirt makes of the disks of a running server.

Clouds run block jobs every day: to make an image of a server, or to retype a volume (nova copies with
`virDomainBlockCopy`, and the server is not persistent meanwhile). libvirt shows the target of a copy as
<mirror> in the running form alone. A backup is in no form of the domain: libvirt describes it by itself
(virDomainBackupGetXMLDesc, libvirt 9.0 and 11.3, observed). A job that runs is no change of the server. The
result of the job is measured. The running jobs, the targets of their copies, and the places where a backup
offers disks to its clients are recorded.

libvirt names a pull, and a commit of a layer below the first, in no description that costs no question to
QEMU. Such a job changes nothing but the chain of images, which is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lxml import etree

from sealward.characters import escaped
from sealward.node_agent.measuring import canonical

_MIRROR: Final = "<mirror"
LONGEST: Final = 300
"""Characters that are kept of the description of a job."""
MOST: Final = 50
"""Jobs that are reported of one server."""


@dataclass(frozen=True, slots=True)
class Running:
    """The running form of a domain without the targets of block jobs, and the jobs."""

    live: str
    jobs: tuple[str, ...] = ()


def without_jobs(live: str) -> Running:
    """Take the targets of block jobs out of a running form. Raises DomainXmlRefused.

    A job reads like "vda: copy to /var/lib/nova/instances/snapshot". A target in the chain below a disk is
    left where it is: libvirt has none there.
    """
    if _MIRROR not in live:
        return Running(live)
    domain = canonical.parse(live)
    mirrors = domain.findall("devices/disk/mirror")
    jobs = tuple(sorted(escaped(_described(one), LONGEST) for one in mirrors))
    for one in mirrors:
        disk = one.getparent()
        if disk is not None:
            disk.remove(one)
    return Running(etree.tostring(domain, encoding="unicode"), jobs[:MOST])


def backups(xml: str | None) -> tuple[str, ...]:
    """Return the copies of a backup, given the <domainbackup> of libvirt. Raises DomainXmlRefused.

    A copy reads like "vda: backup to /backups/1", or, where clients fetch it from QEMU's NBD server, like
    "vda: backup served at tcp:192.0.2.1:10809".
    """
    if xml is None:
        return ()
    backup = canonical.parse(xml, "domainbackup")
    server = backup.find("server")
    disks = [one for one in backup.iterfind("disks/disk") if one.get("backup") != "no"]
    copies = (f"{one.get('name', '')}: backup {_destination(one, server)}" for one in disks)
    return tuple(sorted(escaped(one, LONGEST) for one in copies))[:MOST]


def _destination(disk: etree._Element, server: etree._Element | None) -> str:
    if server is None:
        target = disk.find("target")
        return "to " + ("" if target is None else _place(target))
    if server.get("transport") == "unix":
        return f"served at unix:{server.get('socket', '')}"
    return f"served at tcp:{server.get('name', '')}:{server.get('port', '')}"


def _described(mirror: etree._Element) -> str:
    disk = mirror.getparent()
    target = None if disk is None else disk.find("target")
    device = "" if target is None else target.get("dev", "")
    kind = mirror.get("job") or "copy"  # while libvirt ends a job, its kind is the empty text for a moment
    return f"{device}: {kind} to {_place(mirror)}"


def _place(target: etree._Element) -> str:
    """Return the target of a job's copy, as far as a single attribute names it."""
    source = target.find("source")
    told = dict(target.attrib) | ({} if source is None else dict(source.attrib))
    names = ("file", "dev", "dir", "name", "volume", "path")
    place = next((str(told[one]) for one in names if one in told), "")
    kind = str(told.get("protocol") or told.get("type") or "")
    return place if place.startswith("/") else f"{kind}:{place}"
