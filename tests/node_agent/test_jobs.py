"""Block jobs in the running form of a server: taken out of it, and described."""

from __future__ import annotations

import pytest

from sealward.node_agent.measuring.interventions.jobs import without_jobs

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
