"""A path in a place that nobody knows yet may decide what runs: the server is unknown, with a reason."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import FILES
from sealward.events.is_valid import IsValid
from sealward.events.verdict import UNSEALED, Verdict, equal, judged
from sealward.node_agent.files import offline
from sealward.node_agent.files.content.remembered import Remembered
from sealward.node_agent.files.discovery import places
from sealward.node_agent.files.refusals import FilePlaceUnknown
from sealward.node_agent.measuring.findings import findings, is_of_unread
from sealward.node_agent.measuring.measure import Measured, measure

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
UNKNOWN_PLACES = {
    "a boot file": "<os><type>hvm</type><sbom>/evil/sbom</sbom></os>",
    "an attribute of a known boot file": "<os><type>hvm</type><loader overlay='/evil/overlay'/></os>",
    "two levels deep": "<os><type>hvm</type><measured><log path='/evil/log'/></measured></os>",
    "a child of <domain>": "<microcode>/evil/ucode.bin</microcode>",
    "an attribute of <domain>'s child": "<cpu blob='/evil/blob'/>",
    "of the memory": "<memoryBacking><source type='file' snapshot='/evil/memory'/></memoryBacking>",
    "of launch security": "<launchSecurity type='sev'><svsm file='/evil/svsm.igvm'/></launchSecurity>",
    "a device": "<devices><quantum image='/evil/image'/></devices>",
    "in a device": "<devices><rng model='virtio'><seed>/evil/seed</seed></rng></devices>",
    "of a TPM": "<devices><tpm model='x'><backend type='y'><state dir='/evil'/></backend></tpm></devices>",
    "of a known element elsewhere": "<devices><video><rendernode path='/evil/node'/></video></devices>",
    "in an image": (
        "<devices><disk type='block'><source><delta file='/evil/d'/></source>"
        "<target dev='a'/></disk></devices>"
    ),
    "with spaces before": "<os><type>hvm</type><sbom>\n  /evil/sbom\n</sbom></os>",
}
PLAIN = "<os><type>hvm</type></os>"


def domain(inside: str) -> str:
    """Return a domain."""
    uuid = "5a5a0000-0000-4000-8000-000000000001"
    return f"<domain type='kvm'><name>i</name><uuid>{uuid}</uuid>{inside}</domain>"


def seen(xml: str, folder: Path) -> Measured:
    """Measure a domain with its files, as the start gate does."""
    files = offline.files(Remembered(str(folder / "none.sqlite")), time.monotonic() + math.inf)
    return measure(xml, None, "libvirt 9.0.0", files)


def verdict_on(signed: Measured, found: Measured) -> Verdict:
    """Return the verdict on a server that was true before."""
    before = equal(UNSEALED, NOON, NOON + timedelta(hours=1))
    later = NOON + timedelta(minutes=1)
    return judged(
        before,
        signed.measurement,
        found.measurement,
        findings=(),
        checked_at=later,
        fresh_until=later + timedelta(hours=1),
    )


@pytest.mark.parametrize("inside", UNKNOWN_PLACES.values(), ids=UNKNOWN_PLACES)
def test_a_path_in_an_unknown_place_is_a_reason(inside: str, tmp_path: Path) -> None:
    """Nothing is sealed that nobody can vouch for: unread files refuse a seal."""
    found = seen(domain(inside), tmp_path)

    assert FilePlaceUnknown.code in found.measurement.unread
    assert verdict_on(found, found).reasons == (FilePlaceUnknown.code,)


@pytest.mark.parametrize("inside", UNKNOWN_PLACES.values(), ids=UNKNOWN_PLACES)
def test_a_server_that_was_signed_before_is_unknown_and_not_false(inside: str, tmp_path: Path) -> None:
    """Its reference was made by an agent that did not look for such places."""
    found = seen(domain(inside), tmp_path)
    known = found.measurement.companions
    assert known is not None
    before = replace(found, measurement=replace(found.measurement, companions=Listing(known.read)))

    assert verdict_on(before, found).is_valid is IsValid.UNKNOWN


@pytest.mark.parametrize("inside", UNKNOWN_PLACES.values(), ids=UNKNOWN_PLACES)
def test_a_path_that_comes_later_is_false(inside: str, tmp_path: Path) -> None:
    """The XML is another. That a file could not be looked at masks nothing."""
    signed, found = seen(domain(PLAIN), tmp_path), seen(domain(inside), tmp_path)

    assert verdict_on(signed, found).is_valid is IsValid.FALSE


@pytest.mark.parametrize(
    "inside",
    [
        "<metadata><a xmlns='urn:a'><b path='/srv/notes'/></a></metadata>",
        "<description>/srv/notes has more</description>",
        "<os><type>hvm</type><cmdline>/sbin/init</cmdline></os>",
        "<devices><channel type='unix'><source mode='bind' path='/run/a'/></channel></devices>",
        "<devices><disk type='network'><source protocol='https' name='/a' query='/b'/></disk></devices>",
        "<devices><video><driver name='/'/></video></devices>",
    ],
)
def test_a_known_place_is_none(inside: str) -> None:
    """Nor is a slash alone."""
    assert not list(places.unknown(etree.fromstring(domain(inside))))


def test_a_finding_names_place_and_reason(tmp_path: Path) -> None:
    """Where such a server is false for another reason, its findings have the unread path, too."""
    signed = seen(domain(PLAIN), tmp_path)
    found = seen(domain(UNKNOWN_PLACES["a boot file"]), tmp_path)
    said = findings(signed.evidence(), found.evidence(), [("boot", "config"), (FILES, "companions")])

    assert [one.found for one in said if one.section == "boot"] == ["<sbom>/evil/sbom</sbom>"]
    (unread,) = (one for one in said if is_of_unread(one))
    assert "/evil/sbom" in unread.xpath
    assert unread.found == "not compared: file-place-unknown"


def test_many_paths_are_bounded() -> None:
    """A hostile definition cannot make a measurement large."""
    many = "".join(f"<x{number} a='/evil/{number}'/>" for number in range(10_000))

    assert len(list(places.unknown(etree.fromstring(domain(many))))) <= 50
