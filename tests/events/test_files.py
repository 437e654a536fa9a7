"""Files one by one: what is read is judged, what could not be read proves nothing."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.comparison.evidence import with_files
from sealward.events.comparison.files import ALL, Listing, changed, listed
from sealward.events.comparison.measurement import Measurement, differing

KERNEL = {"role": "kernel", "path": "/boot/vmlinuz", "content": "k"}
INITRD = {"role": "initrd", "path": "/boot/initrd", "content": "i"}
IMAGE = {"role": "disk", "target": "vda", "layer": "0", "path": "/disk", "format": "qcow2", "backing": "base"}
BASE = {"role": "disk", "target": "vda", "layer": "1", "path": "/base", "format": "raw", "content": "b"}
ISO = {"role": "cdrom", "target": "sda", "layer": "0", "path": "/iso", "format": "raw", "content": "c"}
FILES = [KERNEL, INITRD, IMAGE, BASE, ISO]


def _unread(file: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in file.items() if name != "content"} | {"unread": "file-unreadable"}


def _rest(file: dict[str, str]) -> dict[str, str]:
    return {"role": file["role"], "target": file["target"], "unread": "file-missing"}


def test_each_file_has_slots_of_its_own() -> None:
    """Boot files by role and order, layers by disk and depth, the contents apart from all else."""
    data = {"role": "disk", "target": "vda", "layer": "0", "kind": "data", "path": "/data", "content": "d"}
    listing = listed([KERNEL, KERNEL, IMAGE, data, {"role": "disk", "target": "v/da", "kind": "volume"}])

    assert list(listing.read)[:6] == [
        "kernel/1", "kernel/1:content", "kernel/2", "kernel/2:content", "disk/vda/0", "disk/vda/0/data",
    ]  # fmt: skip
    assert not any("v/da" in slot for slot in listing.read)


@pytest.mark.parametrize(
    ("found", "slots"),
    [
        (FILES, set()),
        ([{**KERNEL, "content": "evil"}, *FILES[1:]], {"kernel/1:content"}),
        (
            [{**KERNEL, "content": "evil"}, _unread(INITRD), IMAGE, _rest(IMAGE)],
            {"kernel/1:content", "cdrom/sda/0", "cdrom/sda/0:content"},
        ),
        ([_unread(KERNEL), INITRD, IMAGE, BASE, _unread(ISO)], set()),
        ([KERNEL, INITRD, _rest(IMAGE), ISO], set()),
        ([KERNEL, INITRD, {**IMAGE, "backing": "evil"}, _rest(IMAGE), ISO], {"disk/vda/0"}),
        ([KERNEL, INITRD, IMAGE, {**_unread(BASE), "path": "/evil"}, ISO], {"disk/vda/1"}),
        ([*FILES, {"role": "disk", "target": "vdb", "unread": "network-disk"}], {"disk/vdb"}),
        ([KERNEL, _unread(INITRD), _unread(INITRD), IMAGE, BASE, ISO], {"initrd/2", "initrd/2:content"}),
    ],
)  # fmt: skip
def test_what_was_read_is_judged_whatever_was_not(found: list[dict[str, str]], slots: set[str]) -> None:
    """A file that is unread hides no other, and proves nothing itself, unless it was not there before."""
    assert changed(listed(FILES), listed(found)) == slots


@given(st.lists(st.integers(0, 3), min_size=len(FILES), max_size=len(FILES)))
def test_no_set_of_unread_files_hides_a_change(fates: list[int]) -> None:
    """For every file as it was, unread, changed, or changed and unread, the changed ones are found."""
    found = []
    for fate, file in zip(fates, FILES, strict=True):
        after = {**file, "path": file["path"] + "-evil"} if fate > 1 else file
        found.append(_unread(after) if fate % 2 and "content" in file else after)
    slots = {slot.removesuffix(":content") for slot in changed(listed(FILES), listed(found))}

    names = ["kernel/1", "initrd/1", "disk/vda/0", "disk/vda/1", "cdrom/sda/0"]
    assert slots == {name for name, fate in zip(names, fates, strict=True) if fate > 1}


def _evidence(files: str) -> bytes:
    return zlib.compress(f"<evidence><config><domain>{files}</domain></config></evidence>".encode())


def _old(files: str) -> Measurement:
    return with_files(Measurement("p/2", {"files": "digest"}, {}, "libvirt 9.0.0"), _evidence(files))


def test_a_reference_of_before_lists_its_files_from_its_evidence() -> None:
    """As a measurement of today does; one that was signed without files stays without."""
    text = "".join(
        "<file " + " ".join(f"{name}='{value}'" for name, value in one.items()) + "/>" for one in FILES
    )

    assert _old(f"<files>{text}</files>").files["config"] == listed(FILES)
    assert _old('<files measured="no"/>').files == {}


@pytest.mark.parametrize(
    "evidence",
    [b"", b"x", zlib.compress(b"<evidence"), zlib.compress(b"<!DOCTYPE evidence><evidence/>"),
     zlib.compress(b" " * 5_000_000), _evidence('<files><file role="kernel" path="?token=***"/></files>')],
)  # fmt: skip
def test_evidence_that_says_nothing_proves_nothing(evidence: bytes) -> None:
    """Damaged, hostile, too long or masked: then no file is known, and none is proven to be another."""
    reference = with_files(Measurement("p/2", {"files": "digest"}, {}, ""), evidence)

    assert reference.files["config"].unread == {ALL: "files-unlisted"}
    assert changed(reference.files["config"], listed(FILES)) == frozenset()


def test_files_that_are_all_unread_are_no_difference() -> None:
    """Nor are those of the running form; where all was read the digest decides."""
    whole = Measurement("p", {"files": "aa"}, {}, "", files={"config": listed(FILES)})
    none = Measurement(
        "p", {"files": "bb"}, {}, "", files={"config": Listing({}, {ALL: "files-unresponsive"})}
    )
    running = Measurement(
        "p", {"files": "aa"}, {"files": "cc"}, "", files={"live": listed([_unread(KERNEL), *FILES[1:]])}
    )
    read = Measurement("p", {"files": "bb"}, {}, "", files={"config": listed(FILES)})

    assert differing(whole, none) == differing(whole, running) == ()
    assert none.unread == ("files-unresponsive",)
    assert differing(whole, read) == (("files", "config"),)
