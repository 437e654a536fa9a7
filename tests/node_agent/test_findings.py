"""Findings: the right words for a difference, and never none."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealward.events.comparison.measurement import Finding, differing
from sealward.node_agent.measuring.clipping import MAX_VALUE
from sealward.node_agent.measuring.findings import MAX_FINDINGS, findings
from sealward.node_agent.measuring.measure import Measured, measure

DOMAINS = Path(__file__).parent.parent / "assets" / "domains"
DEFINED = (DOMAINS / "real1-qemu.1-defined.inactive.xml").read_text()
BOOTED_LIVE = (DOMAINS / "real1-qemu.3-booted.live.xml").read_text()


def _measured(step: str) -> Measured:
    config, live = (DOMAINS / f"real1-qemu.{step}.{form}.xml" for form in ("inactive", "live"))
    return measure(config.read_bytes(), live.read_bytes(), "")


def _explained(signed: Measured, found: Measured) -> tuple[Finding, ...]:
    pairs = differing(signed.measurement, found.measurement)
    return findings(signed.evidence(), found.evidence(), pairs)


def _lines(old: str, new: str, *, live: bool = False) -> list[str]:
    found = measure(DEFINED, new, "") if live else measure(new, None, "")
    return [str(finding) for finding in _explained(measure(old, None, ""), found)]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "discard='unmap'",
            "discard='ignore'",
            "disks: /domain/devices/disk[target/@dev=\"vda\"]/driver/@discard: 'unmap' -> 'ignore'",
        ),
        (
            "/srv/guests/initrd.img",
            "/srv/guests/evil.img",
            "boot: /domain/os/initrd/text(): '/srv/guests/initrd.img' -> '/srv/guests/evil.img'",
        ),
        (
            "<interface type='user'>",
            "<interface type='direct'>",
            (
                'interfaces: /domain/devices/interface[mac/@address="fa:16:3e:00:00:01"]/@type:'
                " 'user' -> 'direct'"
            ),
        ),
        (
            "<target chassis='7' port='0x16'/>",
            "<target chassis='7' port='0x16' hotplug='off'/>",
            (
                'devices: /domain/devices/controller[@type="pci" and @index="7"]/target/@hotplug:'
                " absent -> 'off'"
            ),
        ),
        (
            "<nova:instance ",
            "<nova:instance x='1' ",
            "metadata: /domain/metadata/nova:instance/@x: absent -> '1'",
        ),
        (
            "<serial>vol-1</serial>",
            "",
            "disks: /domain/devices/disk[target/@dev=\"vdb\"]/serial: '<serial>vol-1</serial>' -> absent",
        ),
        ("<domain type='qemu'>", "<domain type='kvm'>", "identity: /domain/@type: 'qemu' -> 'kvm'"),
        ("<devices>", "<devices x='1'>", "other: /domain/devices: absent -> '<devices x=\"1\"></devices>'"),
        (
            "<vmcoreinfo state='on'/>",
            "<vmcoreinfo/>",
            "features: /domain/features/vmcoreinfo/@state: 'on' -> absent",
        ),
        (
            "quiet panic=1",
            "token=abc panic=1",
            (
                "boot: /domain/os/cmdline/text():"
                " 'console=ttyS0 quiet panic=1' -> 'console=ttyS0 token=*** panic=1'"
            ),
        ),
    ],
)
def test_a_change_is_named_by_its_keyed_xpath(old: str, new: str, line: str) -> None:
    """One changed value gives one finding, which names the element the way an administrator would."""
    assert _lines(DEFINED, DEFINED.replace(old, new)) == [line]


def test_attached_disk_is_one_finding() -> None:
    """A new disk is found as a whole, not attribute by attribute."""
    (finding,) = _explained(_measured("3-booted"), _measured("4-attached"))

    assert (finding.section, finding.form, finding.signed) == ("disks", "config", None)
    assert finding.xpath == '/domain/devices/disk[target/@dev="vdc"]'
    assert finding.found is not None
    assert finding.found.startswith('<disk device="disk"')
    assert len(finding.found) == MAX_VALUE


@pytest.mark.parametrize("step", ["5-snap", "6-committed"])
def test_snapshot_and_edits_are_found(step: str) -> None:
    """The snapshot overlay, more memory, more vcpus and a title are named, in document order per section.

    Nobody measures files here, so the chain that a snapshot makes the domain declare is named as well.
    """
    lines = [str(finding) for finding in _explained(_measured("4-attached"), _measured(step))]

    assert [line.partition(" ")[0] for line in lines if "(live)" not in line] == [
        "devices:",
        "disks:",
        "disks:",
        "files:",
        "identity:",
        "interfaces:",
        "memory:",
        "memory:",
        "metadata:",
        "tuning:",
        "tuning:",
    ]
    assert any("/source/@file" in line and line.endswith("/disk.s1'") for line in lines)
    assert "memory: /domain/memory/text(): '196608' -> '262144'" in lines
    assert "tuning: /domain/vcpu/text(): '1' -> '4'" in lines
    assert "identity: /domain/title: absent -> '<title>hello</title>'" in lines


def test_hot_plug_is_a_live_finding() -> None:
    """A device attached to the running domain is found against the signed persistent form."""
    lines = _lines(DEFINED, BOOTED_LIVE.replace("discard='unmap'", "discard='ignore'"), live=True)

    assert lines == [
        "disks: /domain/devices/disk[target/@dev=\"vda\"]/driver/@discard: 'unmap' -> 'ignore' (live)"
    ]


def test_live_difference_is_held_against_the_signed_running_form() -> None:
    """What was hot-plugged before signing does not show among the findings of a later change."""
    config = (DOMAINS / "real1-qemu.3-booted.inactive.xml").read_text()
    live = (DOMAINS / "real1-qemu.4-attached.live.xml").read_text()
    signed, found = measure(config, live, ""), measure(config, live.replace("'vdc'", "'vdx'"), "")

    assert [finding.xpath for finding in _explained(signed, found)] == [
        '/domain/devices/disk[target/@dev="vdx"]',
        '/domain/devices/disk[target/@dev="vdc"]',
    ]


def test_everything_unplugged_live_is_found() -> None:
    """A section that is empty in the running form is compared as empty, not as unknown."""
    start, end = BOOTED_LIVE.index("<interface"), BOOTED_LIVE.index("</interface>") + len("</interface>")
    (line,) = _lines(DEFINED, BOOTED_LIVE[:start] + BOOTED_LIVE[end:], live=True)

    assert line.startswith('interfaces: /domain/devices/interface[mac/@address="fa:16:3e:00:00:01"]: ')
    assert line.endswith("-> absent (live)")


def test_another_order_is_found() -> None:
    """Two disks that changed places are named with both positions."""
    first, second = "<disk><target dev='a'/></disk>", "<disk><target dev='b'/></disk>"
    template = "<domain><devices>{}</devices></domain>"
    lines = _lines(template.format(first + second), template.format(second + first))

    assert lines == [
        "disks: /domain/devices/disk[target/@dev=\"b\"]/position(): '2' -> '1'",
        "disks: /domain/devices/disk[target/@dev=\"a\"]/position(): '1' -> '2'",
    ]


def test_equal_keys_are_told_apart_by_position() -> None:
    """A second element with the same key gets a position."""
    disk = "<disk><target dev='a'/></disk>"
    template = "<domain><devices>{}</devices></domain>"
    (line,) = _lines(template.format(disk), template.format(disk * 2))

    assert line.startswith('disks: /domain/devices/disk[target/@dev="a"][2]: absent -> ')


def test_change_inside_a_masked_value_names_the_masked_leaves() -> None:
    """Where only a secret changed, the finding says where and shows neither value."""
    lines = _lines(
        DEFINED.replace("quiet", "password=one"),
        DEFINED.replace("quiet", "password=two"),
    )

    assert lines == ["boot: /domain/os/cmdline/text(): '***' -> '***'"]


@pytest.mark.parametrize(
    "evidence",
    [
        b"",
        b"junk",
        zlib.compress(b"<other/>"),
        zlib.compress(b"<evidence/>"),
        zlib.compress(b" " * 5_000_000),
    ],
)
def test_unreadable_evidence_still_gives_a_finding(evidence: bytes) -> None:
    """Missing, damaged, foreign or exploding evidence hides no difference."""
    good = measure(DEFINED, None, "").evidence()

    assert [str(finding) for finding in findings(evidence, good, [("disks", "config")])] == [
        "disks: /domain: '(unreadable evidence)' -> '***'"
    ]
    assert len(findings(good, evidence, [("disks", "live"), ("boot", "config")])) == 2


def test_difference_that_shows_nowhere_is_on_the_domain() -> None:
    """If the evidence of both sides is equal, the finding is on the domain."""
    evidence = measure(DEFINED, None, "").evidence()

    assert findings(evidence, evidence, [("disks", "config")]) == (Finding("disks", "/domain", "***", "***"),)


def test_values_are_cut_around_the_difference() -> None:
    """Long values are cut to 200 characters and still show where they part."""
    old, new = (f"<domain><title>{'x' * 5000}{end}</title></domain>" for end in ("one", "two"))
    (finding,) = _explained(measure(old, None, ""), measure(new, None, ""))

    assert finding.signed is not None
    assert finding.found is not None
    assert finding.signed.endswith("xone")
    assert finding.found.endswith("xtwo")
    assert len(finding.signed) <= MAX_VALUE


def test_number_of_findings_is_bounded() -> None:
    """A domain with thousands of differences gives a bounded report."""
    disks = "".join(f"<disk><target dev='v{i}'/></disk>" for i in range(5000))
    new = f"<domain><devices>{disks}</devices></domain>"

    assert len(_lines("<domain/>", new)) == MAX_FINDINGS


@settings(max_examples=40, deadline=None)
@given(
    st.text("ABCDEFGHXYZ0123456789", min_size=8, max_size=20),
    st.sampled_from(["password", "API_KEY", "token"]),
)
def test_no_secret_reaches_a_finding(secret: str, name: str) -> None:
    """Secrets in command lines, metadata, QEMU arguments and entries stay out of findings."""
    leaks = (
        f"<os><cmdline>{name}={secret}</cmdline></os>"
        f"<metadata><x:a xmlns:x='urn:x' url='https://u:{secret}@h/' {name}='{secret}'>{name}: {secret}</x:a>"
        "</metadata>"
        f"<sysinfo type='fwcfg'><entry name='opt/{name}'>{secret}</entry></sysinfo>"
        "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
        f"<q:env name='{name}' value='{secret}'/><q:arg value='secret,id=a,data={secret}'/></q:commandline>"
    )
    lines = _lines("<domain/>", f"<domain>{leaks}</domain>")

    assert len(lines) == 4
    assert not any(secret in line for line in lines)
