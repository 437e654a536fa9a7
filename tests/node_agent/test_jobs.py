"""Block jobs in the running form of a server: taken out of it, and described."""

from __future__ import annotations

import pytest

from sealward.node_agent.measuring.canonical import DomainXmlRefused
from sealward.node_agent.measuring.interventions.jobs import backups, without_jobs

DISK = "<domain><devices><disk type='file'>{mirror}<target dev='vda'/></disk></devices></domain>"
MIRROR = (
    "<mirror type='file' file='/guests/image' format='qcow2'{job}><source file='/guests/image'/></mirror>"
)


@pytest.mark.parametrize("job", [" job='copy'", " job=''", ""], ids=["runs", "ends", "old libvirt"])
def test_a_copy_reads_alike_until_it_is_gone(job: str) -> None:
    """While libvirt 9.0 ends a job, `job` is empty for a moment: no other job than before."""
    found = without_jobs(DISK.format(mirror=MIRROR.format(job=job)))

    assert found.jobs == ("vda: copy to /guests/image",)
    assert found.live == without_jobs(DISK.format(mirror="")).live.replace("'", '"')


PUSHED = "<disk name='vda' backup='yes' type='file'><target file='/backups/1'/></disk>"
PULLED = "<disk name='vda' backup='yes' type='file' exportname='vda'><scratch file='/tmp/s'/></disk>"


@pytest.mark.parametrize(
    ("inside", "jobs"),
    [
        (f"<disks>{PUSHED}</disks>", ("vda: backup to /backups/1",)),
        (f"<disks>{PUSHED}<disk name='vdb' backup='no'/></disks>", ("vda: backup to /backups/1",)),
        (
            f"<server transport='unix' socket='/run/nbd'/><disks>{PULLED}</disks>",
            ("vda: backup served at unix:/run/nbd",),
        ),
        (
            f"<server transport='tcp' name='0.0.0.0' port='10809'/><disks>{PULLED}</disks>",
            ("vda: backup served at tcp:0.0.0.0:10809",),
        ),
        ("", ()),
    ],
)
def test_a_backup_says_where_the_content_of_disks_goes(inside: str, jobs: tuple[str, ...]) -> None:
    """Pushed to a file, or fetched by clients of QEMU's NBD server."""
    assert backups(f"<domainbackup>{inside}</domainbackup>") == jobs


def test_no_backup_is_no_job() -> None:
    """Libvirt says so by an error."""
    assert backups(None) == ()


@pytest.mark.parametrize("xml", ["", "<domain/>", "<!DOCTYPE a><domainbackup/>", "<domainbackup>"])
def test_a_backup_that_is_none_is_refused(xml: str) -> None:
    """The XML is untrusted, as that of a domain is."""
    with pytest.raises(DomainXmlRefused):
        backups(xml)


def test_a_backup_of_hundreds_of_disks_is_cut_short() -> None:
    """And so is a name that is long."""
    disks = "".join(f"<disk name='{number:0400d}' backup='yes'/>" for number in range(60))
    found = backups(f"<domainbackup><disks>{disks}</disks></domainbackup>")

    assert len(found) == 50
    assert max(map(len, found)) <= 300
