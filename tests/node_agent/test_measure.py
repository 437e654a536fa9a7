"""Measuring real dumps: what stays equal over a server's life, what differs, and the evidence."""

import zlib
from pathlib import Path

import pytest
from lxml import etree

from sealward.events.comparison.measurement import differing
from sealward.node_agent.measuring import canonical
from sealward.node_agent.measuring.canonical import DomainXmlRefused
from sealward.node_agent.measuring.findings import findings
from sealward.node_agent.measuring.form import Files, unmeasured
from sealward.node_agent.measuring.measure import measure

DOMAINS = Path(__file__).parent.parent / "assets" / "domains"
SAME_AS_DEFINED = ("1b-redefined", "2-running", "3-booted")


def _read(name: str) -> bytes:
    return (DOMAINS / f"{name}.xml").read_bytes()


def _digests(xml: bytes) -> dict[str, str]:
    return canonical.section_digests(canonical.normalise(xml))


def _differing(one: bytes, other: bytes) -> set[str]:
    before, after = _digests(one), _digests(other)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("step", ["1-defined", *SAME_AS_DEFINED])
@pytest.mark.parametrize("form", ["inactive", "inactive-secure"])
def test_persistent_form_outlives_start_and_boot(step: str, form: str) -> None:
    """INACTIVE equals INACTIVE|SECURE, and neither redefining nor starting nor booting changes it."""
    assert _digests(_read(f"real1-qemu.{step}.{form}")) == _digests(_read("real1-qemu.1-defined.inactive"))


@pytest.mark.parametrize("step", ["6-committed", "7-managedsaved", "8-restored", "9-stopped"])
def test_persistent_form_outlives_managed_save(step: str) -> None:
    """Saving, restoring and stopping leave the persistent form as it was."""
    assert _digests(_read(f"real1-qemu.{step}.inactive")) == _digests(_read("real1-qemu.5-snap.inactive"))


@pytest.mark.parametrize(
    "name", ["real1-qemu.2-running", "real1-qemu.3-booted", "uefi6.0-running", "uefi6.2-running"]
)
def test_running_form_differs_in_cpu_only(name: str) -> None:
    """A running domain in step with its config shows another cpu and nothing else; `live` is then empty."""
    config, live = _read(f"{name}.inactive"), _read(f"{name}.live")

    assert _differing(config, live) == {"cpu"}
    assert measure(config, live, "").measurement.live == {}


def test_running_form_outlives_restore() -> None:
    """The running form after a restore equals that before the managed save, new node names or not."""
    assert _differing(_read("real1-qemu.6-committed.live"), _read("real1-qemu.8-restored.live")) == set()


@pytest.mark.parametrize("form", ["live", "inactive", "inactive-secure"])
@pytest.mark.parametrize("boot", [1, 2])
def test_uefi_domain_is_equal_across_boots(form: str, boot: int) -> None:
    """A domain with UEFI firmware has the same digests on every boot."""
    assert _digests(_read(f"uefi6.{boot}-running.{form}")) == _digests(_read(f"uefi6.0-running.{form}"))


def _renumbered(name: str, number: int) -> bytes:
    """Return the sample as if it were the UEFI domain: same topology, its own number in names and ids."""
    xml = _read(name).replace(f"00000000000{number}".encode(), b"000000000006")
    for text in ("instance-0000000%d", "web-%d", "vol-%d", "3e:00:00:0%d"):
        xml = xml.replace((text % number).encode(), (text % 6).encode())
    return xml.replace(f"10.0.0.{number + 2}".encode(), b"10.0.0.8")


def test_prepare_hook_sees_the_persistent_form() -> None:
    """The stdin of `prepare` at a cold start differs from the dump in the firmware that domain lacks."""
    prepare = _renumbered("hook-prepare", 3)

    assert _differing(prepare, _read("uefi6.0-running.inactive")) == {"boot"}


@pytest.mark.parametrize(
    ("name", "number"),
    [("hook-migrate-prepare", 4), ("hook-started", 3), ("hook-reconnect", 5), ("hook-stopped", 3)],
)
def test_other_hooks_see_the_running_form(name: str, number: int) -> None:
    """`prepare` of an incoming migration, `started`, `reconnect` and `stopped` carry the running form."""
    assert _differing(_renumbered(name, number), _read("uefi6.0-running.live")) == {"boot"}


def test_start_hook_differs_in_cpu_only() -> None:
    """`start` runs before QEMU reported its cpu: nothing but that section differs from `started`."""
    assert _differing(_read("hook-start"), _read("hook-started")) == {"cpu"}


def test_migrate_hook_lacks_implicit_devices() -> None:
    """The MIGRATABLE form given to `migrate` lacks the ps2 keyboard and audio: it is not to be measured."""
    assert _differing(_read("hook-migrate"), _read("hook-migrate-prepare")) == {"devices"}


def test_metadata_may_be_indented_anew() -> None:
    """Live migration re-indents what is inside <metadata>; that is no change."""
    xml = _read("uefi6.0-running.inactive")
    head, metadata, tail = xml.partition(b"<metadata>")[0], *xml.partition(b"<metadata>")[1:]
    inside, end, rest = tail.partition(b"</metadata>")

    assert _digests(head + metadata + inside.replace(b"\n  ", b"\n     ") + end + rest) == _digests(xml)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("4-attached", {"disks"}),
        ("5-snap", {"devices", "disks", "files", "identity", "interfaces", "memory", "metadata", "tuning"}),
        (
            "6-committed",
            {"devices", "disks", "files", "identity", "interfaces", "memory", "metadata", "tuning"},
        ),
    ],
)
def test_real_changes_differ(step: str, expected: set[str]) -> None:
    """Attaching a disk, a snapshot and config edits change the sections they touch.

    A snapshot makes the domain declare a chain, which counts where no files are measured.
    """
    reference = measure(_read("real1-qemu.1-defined.inactive"), None, "").measurement
    found = measure(_read(f"real1-qemu.{step}.inactive"), _read(f"real1-qemu.{step}.live"), "").measurement

    assert {section for section, form in differing(reference, found) if form == "config"} == expected


def test_hot_plug_shows_in_the_running_form_only() -> None:
    """A disk attached live changes no persistent section, and only the running `disks`."""
    config = _read("real1-qemu.3-booted.inactive")
    reference = measure(config, _read("real1-qemu.3-booted.live"), "").measurement
    found = measure(config, _read("real1-qemu.4-attached.live"), "").measurement

    assert differing(reference, found) == (("disks", "live"),)
    assert differing(found, found) == ()


def test_measurement_names_profile_and_hypervisor() -> None:
    """The measurement carries what took it, and measures a str like its bytes."""
    xml = _read("test-driver-xmldesc")
    measurement = measure(xml.decode(), None, "libvirt 9.0.0").measurement

    assert (measurement.profile, measurement.hypervisor) == ("libvirt-domain/3", "libvirt 9.0.0")
    assert measurement == measure(xml, None, "libvirt 9.0.0").measurement


def test_either_form_may_be_refused() -> None:
    """A running form that cannot be measured fails the measurement, too."""
    with pytest.raises(DomainXmlRefused):
        measure(_read("hook-prepare"), "<domain>x<a/></domain>", "")


def test_evidence_is_small_and_repeatable() -> None:
    """Evidence of a usual domain takes about 2 KB and depends on the canonical content alone."""
    evidence = measure(_read("uefi6.0-running.inactive"), _read("uefi6.0-running.live"), "").evidence()
    secure = measure(_read("uefi6.1-running.inactive-secure"), None, "").evidence()

    assert len(evidence) < 2048
    assert evidence == secure


def test_evidence_has_only_deviating_live_sections() -> None:
    """Of the running form the evidence holds the sections that deviate and nothing else."""
    measured = measure(_read("real1-qemu.3-booted.inactive"), _read("real1-qemu.4-attached.live"), "")
    text = zlib.decompress(measured.evidence()).decode()
    live = text.partition("<live")[2]

    assert live.startswith(' sections="disks">')
    assert live.count("<disk ") == 3
    assert "<cpu" not in live
    assert "<interface" not in live


def test_secrets_stay_out_of_evidence_and_repr() -> None:
    """Neither the evidence nor the printed form of a measured domain shows a password."""
    secret = "hunter2secret"  # noqa: S105 - it is what must not appear
    xml = _read("real1-qemu.1-defined.inactive-secure").decode()
    xml = xml.replace("s3cr3t-1", secret).replace("quiet panic=1", f"root_password={secret}")
    measured = measure(xml, xml.replace("<serial>vol-1", f"<serial>token={secret}"), "")

    assert secret not in zlib.decompress(measured.evidence()).decode()
    assert secret not in repr(measured)


def _files(content: str = "root") -> Files:
    """Return what gives a `<files>` with one file."""

    def given(_domain: etree._Element) -> etree._Element:
        files = etree.Element("files")
        etree.SubElement(files, "file", path="/base.img", content=content)
        return files

    return given


def test_files_are_a_section_of_their_own() -> None:
    """Another content changes the section `files` and no other, and the evidence explains it."""
    config, live = _read("uefi6.0-running.inactive"), _read("uefi6.0-running.live")
    signed = measure(config, live, "", _files())
    found = measure(config, live, "", _files("other"))
    changed = differing(signed.measurement, found.measurement)
    (finding,) = findings(signed.evidence(), found.evidence(), changed)

    assert changed == (("files", "config"),)
    assert finding.xpath == '/domain/files/file[@path="/base.img"]/@content'
    assert (finding.signed, finding.found) == ("root", "other")
    assert found.measurement.live == {}


def test_files_that_were_not_measured_never_equal_those_that_were() -> None:
    """Neither those nobody looks at, nor those that could not be read, nor a domain without any."""
    config = _read("uefi6.0-running.inactive")
    ways: tuple[Files, ...] = (
        unmeasured,
        lambda _: etree.Element("files", measured="no", reason="file-missing"),
        lambda _: etree.Element("files"),
    )
    digests = {measure(config, None, "", files).measurement.sections["files"] for files in (*ways, _files())}

    assert len(digests) == 4


def test_a_domain_cannot_bring_files_of_its_own() -> None:
    """What is measured of files never comes from the XML."""
    with pytest.raises(DomainXmlRefused, match="<files>"):
        measure("<domain><files measured='no'/></domain>", None, "")
