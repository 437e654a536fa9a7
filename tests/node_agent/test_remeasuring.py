"""References of the profile before, as version 0.1 sealed them, under the profile in force."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from sealward.events.comparison.binding import AS_SIGNED, is_in_doubt, is_violated
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN, Measurement, differing
from sealward.events.comparison.remeasured import Remeasured, comparable
from sealward.events.is_valid import IsValid
from sealward.events.verdict import UNSEALED, judged
from sealward.node_agent.measuring.measure import measure
from sealward.node_agent.measuring.upgrade.remeasuring import BEFORE, as_in_force

ASSETS = Path(__file__).parent.parent / "assets"
SECRET = "hunter2"  # noqa: S105 - what was masked when the references were made


def _sealed(name: str) -> tuple[Measurement, bytes]:
    kept = json.loads((ASSETS / "references" / f"{name}.json").read_text())
    evidence = base64.b64decode(kept.pop("evidence"))
    for doors in ("doors", "hidden_doors"):
        kept[doors] = tuple(kept[doors])
    return Measurement(**kept), evidence


def _domain(name: str) -> str:
    return (ASSETS / "domains" / f"{name}.xml").read_text()


DEFINED = _domain("real1-qemu.1-defined.inactive")
AS_SEALED = {
    "off": (DEFINED, None),
    "running": (_domain("uefi6.0-running.inactive"), _domain("uefi6.0-running.live")),
    "hot-plugged": (_domain("real1-qemu.3-booted.inactive"), _domain("real1-qemu.4-attached.live")),
    "network-bridge": (_domain("started/network-bridge.inactive"), _domain("started/network-bridge.live")),
    "firmware-auto": (_domain("started/firmware-auto.inactive"), _domain("started/firmware-auto.live")),
    "dimm-base": (_domain("started/dimm-base.inactive"), None),
    "masked-alike": (DEFINED.replace("quiet panic=1", f"root_password={SECRET}"), None),
}


@pytest.mark.parametrize("name", AS_SEALED)
def test_a_server_as_it_was_sealed_stays_true(name: str) -> None:
    """Nobody signs it anew: what is found is what the reference has, measured anew from its evidence."""
    sealed, evidence = _sealed(name)
    reference, again = as_in_force(sealed, evidence)
    found = measure(*AS_SEALED[name], "libvirt 9.0.0").measurement

    assert (sealed.profile, reference.profile, found.profile) == (BEFORE, LIBVIRT_DOMAIN, LIBVIRT_DOMAIN)
    assert differing(reference, found) == ()
    assert not is_violated(reference, AS_SIGNED, found)
    assert not is_in_doubt(reference, AS_SIGNED)
    assert comparable(sealed, found, again) == reference


@pytest.mark.parametrize("name", ["off", "dimm-base", "masked-alike"])
def test_what_turned_a_server_false_before_does_so_no_more(name: str) -> None:
    """It was signed off under the profile before, and starts: an alias, an address, a balloon."""
    sealed, evidence = _sealed(name)
    config, _ = AS_SEALED[name]
    live = _domain("started/dimm-base.live") if name == "dimm-base" else config
    reference, _ = as_in_force(sealed, evidence)

    assert differing(reference, measure(config, live, "libvirt 9.0.0").measurement) == ()


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ("/srv/guests/initrd.img", "/srv/guests/evil.img", "boot"),
        ("type='user'", "type='direct'", "interfaces"),
        ("<serial>vol-1", "<serial>vol-2", "disks"),
    ],
)
def test_a_change_is_a_violation_under_either_profile(old: str, new: str, section: str) -> None:
    """The reference of before says as much as one of today."""
    sealed, evidence = _sealed("off")
    found = measure(DEFINED.replace(old, new), None, "libvirt 9.0.0").measurement
    verdict = judged(
        UNSEALED,
        comparable(sealed, found, as_in_force(sealed, evidence)[1]),
        found,
        findings=(),
        checked_at=UNSEALED.checked_at.replace(year=2026),
        fresh_until=UNSEALED.checked_at.replace(year=2027),
    )

    assert differing(as_in_force(sealed, evidence)[0], found) == ((section, "config"),)
    assert verdict.is_valid is IsValid.FALSE


def test_what_was_masked_and_is_measured_otherwise_is_undecided() -> None:
    """The section of a masked value is unknown for that reason; a change elsewhere is a violation."""
    sealed, evidence = _sealed("masked-otherwise")
    reference, _ = as_in_force(sealed, evidence)
    same = DEFINED.replace("<serial>vol-1", f"<serial>token={SECRET}")
    found = measure(same, None, "libvirt 9.0.0").measurement
    changed = measure(same.replace("initrd.img", "evil.img"), None, "libvirt 9.0.0").measurement

    assert reference.undecided == ("disks",)
    assert differing(reference, found) == ()
    assert is_in_doubt(reference, AS_SIGNED)
    assert differing(reference, changed) == (("boot", "config"),)


def test_evidence_that_does_not_give_what_was_sealed_decides_nothing() -> None:
    """A node that sealed other evidence than digests gains no true: the section is undecided."""
    sealed, _ = _sealed("off")
    _, other = _sealed("running")
    reference, _ = as_in_force(sealed, other)

    assert {"disks", "devices"} <= set(reference.undecided)


def test_a_reference_measured_anew_counts_for_its_own_reference_alone() -> None:
    """The control plane takes it for the comparison that it came with, of the reference in force."""
    sealed, evidence = _sealed("off")
    again = as_in_force(sealed, evidence)[1]
    found = measure(DEFINED, None, "").measurement
    assert again is not None

    foreign = Remeasured("0" * 64, again.profile, again.sections)
    partial = Remeasured(again.origin, again.profile, {"boot": again.sections["boot"]})

    assert comparable(sealed, found, foreign) is sealed
    assert comparable(sealed, found, partial) is sealed
    assert comparable(found, found, again) is found
