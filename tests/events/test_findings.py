"""Each finding has a code of the registry, a class and a sentence."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from factories import ONE_OF_EACH
from hypothesis import given
from hypothesis import strategies as st
from strategies import drawn

from sealward.events import values
from sealward.events.comparison.measurement import Finding
from sealward.events.findings.code import FINDINGS
from sealward.events.findings.coding import coded
from sealward.events.findings.kind import Kind
from sealward.events.findings.reason import OF_OBJECTIONS, OF_VERDICTS
from sealward.events.findings.sentence import LONGEST, sentence
from sealward.events.findings.shown import shown
from sealward.events.sign import SignValidated
from sealward.events.wire import codec

if TYPE_CHECKING:
    from sealward.events.base import Event

VDA = '/domain/devices/disk[target/@dev="vda"]'
CARD = '/domain/devices/interface[mac/@address="52:54:00:aa:bb:01"]'
FILE = '/domain/files/file[@path="/images/a/b.qcow2"]'
DIGEST, OTHER = "ab" * 32, "cd" * 32

FINDINGS_SAID = [
    (Finding("disks", VDA, None, "<disk></disk>"), "disk-added", "Disk vda is there and was not signed."),
    (Finding("disks", VDA, "<disk></disk>", None), "disk-removed", "Disk vda was signed and is gone."),
    (
        Finding("disks", f"{VDA}/source/@file", "/a", "/b", "live"),
        "disk-changed",
        "Disk vda: source file is '/b' in the running server, and was signed as '/a'.",
    ),
    (
        Finding("disks", f"{VDA}/position()", "1", "2"),
        "disk-moved",
        "Disk vda stands at place 2, and was signed at place 1.",
    ),
    (
        Finding("disks", f'{VDA}/source/host[@name="a"]/position()', "1", "2"),
        "disk-changed",
        "Disk vda: source host a stands at place 2, and was signed at place 1.",
    ),
    (
        Finding("disks", f"{VDA}/iotune", "<iotune></iotune>", None),
        "disk-changed",
        "Disk vda: iotune was signed and is gone.",
    ),
    (
        Finding("boot", "/domain/os/loader", None, "<loader type='pflash'>/fw.fd</loader>", "started"),
        "start-firmware-decided",
        "Boot settings: the start decided that os loader is '/fw.fd'.",
    ),
    (
        Finding("interfaces", f"{CARD}/source/@bridge", None, "br1", "started"),
        "start-network-decided",
        "Network interface 52:54:00:aa:bb:01: the start decided that source bridge is 'br1'.",
    ),
    (
        Finding("identity", "/domain/@type", "kvm", "qemu"),
        "identity-changed",
        "Identity: type is 'qemu', and was signed as 'kvm'.",
    ),
    (
        Finding("other", "/domain/devices/warp", None, "<warp></warp>"),
        "unknown-changed",
        "Unknown element is there and was not signed.",
    ),
    (
        Finding("qemu-ext", "/domain/qemu:commandline/qemu:arg/@value", "-a", "-b"),
        "qemu-arguments-changed",
        "Arguments for QEMU: qemu:commandline qemu:arg value is '-b', and was signed as '-a'.",
    ),
    (
        Finding("files", f"{FILE}/@content at 4096", "aa", "bb"),
        "file-content-changed",
        "File /images/a/b.qcow2: content at 4096 is 'bb', and was signed as 'aa'.",
    ),
    (Finding("files", FILE, None, "<file></file>"), "file-added", None),
    (Finding("files", f"{FILE}/@size", "1", "2"), "file-changed", None),
    (Finding("files", FILE, "aa", "not compared: file-unreadable"), "file-not-compared", None),
    (
        Finding("disks", "/domain", DIGEST, OTHER),
        "section-changed",
        "A section differs by its digest, and no evidence says where: section disks.",
    ),
    (
        Finding("qemu-ext", "/domain/qemu:commandline/qemu:env/@value", "***", "***"),
        "masked-value-changed",
        "Arguments for QEMU: qemu:commandline qemu:env value changed; the value is masked (***).",
    ),
    (Finding("boot", "/domain", "***", "(unreadable evidence)"), "evidence-unreadable", None),
    (Finding("host-bound", "/domain", DIGEST, OTHER, "live"), "bound-changed", None),
    (Finding("host-bound", "/domain", DIGEST, OTHER, "redefined"), "redefined-from-running", None),
    (
        Finding("host-bound", "/domain/devices/graphics", None, "listens on every address"),
        "door-every-address",
        "A way in that was not signed: a port can be reached on every address (/domain/devices/graphics).",
    ),
    (Finding("host-bound", "/domain", None, "grows wings"), "door-opened", None),
    (
        Finding("taint", "/domain", None, "custom-monitor", "live"),
        "taint-custom-monitor",
        "QEMU of the running server was given a command, beside the definition.",
    ),
    (Finding("taint", "/domain", None, "something new", "live"), "taint-other", None),
    (
        Finding("named", "/network/blue/green", DIGEST, OTHER),
        "network-redefined",
        "A libvirt network that the server is plugged into is not as it was signed: blue/green.",
    ),
    (
        Finding("named", "/network-link/blue", "bridge br0", "bridge br1"),
        "network-link-redefined",
        None,
    ),
    (Finding("named", "/star/sun", DIGEST, OTHER), "named-redefined", None),
    (Finding("firmware", "/fw/x.fd", None, DIGEST), "node-firmware-added", None),
    (
        Finding("node", "/node", "n1", "n2"),
        "claimed-by-node",
        "Node n2 says that it runs the server, which is on node n1.",
    ),
    (Finding("disks", "/domain", "of 5a5a", "disk /a"), "belongs-to-signed", None),
]


@pytest.mark.parametrize(
    ("finding", "code", "said"), FINDINGS_SAID, ids=[code for _, code, _ in FINDINGS_SAID]
)
def test_a_finding_has_code_and_sentence(finding: Finding, code: str, said: str | None) -> None:
    """By its section, place, form and values."""
    assert coded(finding).code == code
    assert said is None or sentence(finding) == said


def test_a_host_bound_part_has_codes_of_its_own() -> None:
    """The same place is configuration in one domain and bound in another: the report says which it is."""
    moved = Finding("disks", f"{VDA}/source/@dev", "/dev/a", "/dev/b")

    assert (coded(moved).code, shown(coded(moved)).kind) == ("disk-changed", Kind.CONFIGURATION)
    bound = coded(moved, is_bound=True)
    assert (bound.code, shown(bound).kind) == ("bound-disk-changed", Kind.BOUND)


@given(finding=drawn(Finding), is_bound=st.booleans())
def test_any_finding_has_a_code_of_the_registry(finding: Finding, *, is_bound: bool) -> None:
    """For each report of a node, also with a code of its own: the sentence is one short line."""
    seen = shown(coded(finding, is_bound=is_bound))

    assert seen.code in FINDINGS
    assert seen.kind is FINDINGS[seen.code].kind
    assert len(seen.message.encode()) <= LONGEST
    assert not any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in seen.message)


def test_a_nodes_own_code_does_not_count() -> None:
    """A node that calls a new disk a moved state is not believed."""
    assert coded(Finding("disks", VDA, None, "<disk></disk>", code="state-changed")).code == "disk-added"


def test_every_class_has_a_code() -> None:
    """The registry has codes of each class, and each code and reason is a plain word."""
    assert {one.kind for one in FINDINGS.values()} == set(Kind)
    for code in (*FINDINGS, *OF_VERDICTS, *OF_OBJECTIONS):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
        assert len(code) <= 64


def _validated(*findings: Finding) -> SignValidated:
    event: Event = next(one for one in ONE_OF_EACH if isinstance(one, SignValidated))
    return replace(event, findings=findings)  # type: ignore[return-value,call-arg]  # it is a SignValidated


def test_an_event_has_code_class_and_sentence() -> None:
    """Subscribers need no registry. The code is read back; class and sentence follow from it."""
    finding = coded(Finding("disks", f"{VDA}/source/@file", "/a", "/b"))
    event = _validated(finding)

    (written,) = json.loads(codec.write(event))["findings"]
    assert (written["code"], written["class"]) == ("disk-changed", "configuration")
    assert written["message"] == "Disk vda: source file is '/b', and was signed as '/a'."
    read = codec.decode(event.topic, codec.write(event))
    assert isinstance(read, SignValidated)
    assert read.findings[0].code == "disk-changed"


def test_a_finding_of_before_has_the_bytes_that_it_had() -> None:
    """And gets its code when it is shown."""
    finding = Finding("disks", f"{VDA}/source/@file", "/a", "/b")

    (written,) = json.loads(codec.encode(_validated(finding)))["findings"]
    assert set(written) == {"section", "xpath", "signed", "found", "form"}
    assert shown(finding).code == "disk-changed"


def test_an_event_with_the_longest_findings_is_written() -> None:
    """Sentences are short: as many findings as a report has fit into an event."""
    long = coded(Finding("disks", f"{VDA}/{'x' * 8000}", "y" * 4000, "z" * 4000))
    event = _validated(*[long] * 250)

    values.check(event)
    assert len(codec.write(event)) < codec.MOST
