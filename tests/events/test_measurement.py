"""Measurements: what is signed of them and when two of them differ."""

import hashlib
import json

from sealward.events.comparison.measurement import Finding, Measurement, differing


def _measurement(sections: dict[str, str], live: dict[str, str] | None = None) -> Measurement:
    return Measurement("libvirt-domain/1", sections, live or {}, "libvirt 9.0.0")


def test_manifest_is_canonical_json_of_profile_and_sections() -> None:
    """The manifest has sorted keys and no spaces, and leaves out the running form and the hypervisor."""
    measurement = _measurement({"disks": "bb", "boot": "aa"}, {"disks": "cc"})

    assert measurement.manifest == b'{"profile":"libvirt-domain/1","sections":{"boot":"aa","disks":"bb"}}'
    assert measurement.digest == hashlib.sha256(measurement.manifest).hexdigest()
    assert json.loads(measurement.manifest)["sections"] == measurement.sections


def test_equal_measurements_do_not_differ() -> None:
    """A measurement accounts for itself."""
    measurement = _measurement({"disks": "aa"}, {"disks": "bb"})

    assert differing(measurement, measurement) == ()


def test_config_sections_differ_on_either_side() -> None:
    """A changed, an added and a missing section are differences of the persistent form."""
    reference = _measurement({"boot": "aa", "disks": "bb"})
    found = _measurement({"boot": "xx", "other": "cc"})

    assert differing(reference, found) == (("boot", "config"), ("disks", "config"), ("other", "config"))


def test_live_section_is_accounted_for_by_either_signed_form() -> None:
    """A running section may equal the signed persistent form or the running form seen at signing."""
    reference = _measurement({"disks": "aa", "interfaces": "ii"}, {"disks": "hotplugged"})

    assert differing(reference, _measurement(dict(reference.sections), {"disks": "hotplugged"})) == ()
    assert differing(reference, _measurement(dict(reference.sections), {"disks": "more"})) == (
        ("disks", "live"),
    )


def test_config_change_with_old_running_form_is_a_config_difference_only() -> None:
    """After a config edit the running form still equals what was signed, so only the config differs."""
    reference = _measurement({"memory": "old"})
    found = _measurement({"memory": "new"}, {"memory": "old"})

    assert differing(reference, found) == (("memory", "config"),)


def test_finding_reads_as_one_line() -> None:
    """A finding names section, XPath and both values, absence and the running form."""
    config = Finding("disks", '/domain/devices/disk[target/@dev="vda"]/driver/@discard', "unmap", "ignore")
    live = Finding("disks", "/domain/devices/disk", None, "a\nb", "live")

    assert str(config) == (
        "disks: /domain/devices/disk[target/@dev=\"vda\"]/driver/@discard: 'unmap' -> 'ignore'"
    )
    assert str(live) == "disks: /domain/devices/disk: absent -> 'a\\nb' (live)"
