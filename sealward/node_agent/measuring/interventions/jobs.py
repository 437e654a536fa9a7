"""Block jobs: copies that libvirt makes of the disks of a running server.

Clouds run block jobs every day: to make an image of a server, or to retype a volume (nova copies with
`virDomainBlockCopy`, and the server is not persistent meanwhile). libvirt shows the target of a copy as
<mirror> in the running form alone (libvirt 9.0, observed). A job that runs is no change of the server. The
result of the job is measured. The running jobs and the targets of their copies are recorded.
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


def _described(mirror: etree._Element) -> str:
    disk = mirror.getparent()
    target = None if disk is None else disk.find("target")
    device = "" if target is None else target.get("dev", "")
    kind = mirror.get("job") or "copy"  # while libvirt ends a job, its kind is the empty text for a moment
    return f"{device}: {kind} to {_place(mirror)}"


def _place(mirror: etree._Element) -> str:
    """Return the target of a job's copy, as far as a single attribute names it."""
    source = mirror.find("source")
    told = dict(mirror.attrib) | ({} if source is None else dict(source.attrib))
    names = ("file", "dev", "dir", "name", "volume", "path")
    place = next((str(told[one]) for one in names if one in told), "")
    kind = str(told.get("protocol") or told.get("type") or "")
    return place if place.startswith("/") else f"{kind}:{place}"
