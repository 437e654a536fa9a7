"""The files of a server, listed one by one, so that each of them is judged by itself.

A measured `<file>` (node_agent/files/element.py has its attributes) takes up slots of a listing:

    kernel/1                the first kernel of the domain: all its attributes but the content
    kernel/1:content        the root of its content
    disk/vda/0              the image of the disk vda; disk/vda/1 is the layer below it
    disk/vda/0/data         the data file of that image
    disk/vda/1:content      the root of the content of a layer

A slot that could not be read stands for itself and for all slots below it: where the image of vda cannot be
opened, "disk/vda" stands for its whole chain. The slot "" stands for all files of the server.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping  # noqa: TC003 - snapshots are read by the annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL: Final = ""
"""The slot that stands for all files of a server."""
CONTENT: Final = ":content"
UNREAD: Final = "unread"
"""The attribute of a `<file>` that could not be read in full; its value is the reason's code."""
UNLISTED: Final = "unlisted"
"""The role of a path in a place that a node does not know. It is no difference by itself: where a server gets
such a path after it was signed, the XML differs."""
_LONGEST: Final = 64
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a form of a domain, by slot: `read` has digests or roots, `unread` the codes of reasons.

    No slot is in both.
    """

    read: Mapping[str, str]
    unread: Mapping[str, str] = field(default_factory=dict)


def listed(files: Iterable[Mapping[str, str]]) -> Listing:
    """Return the listing of measured files, given the attributes of each in the order of measuring."""
    read: dict[str, str] = {}
    unread: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for attributes in files:
        slot = _slot(attributes, seen)
        facts = {name: value for name, value in attributes.items() if name not in ("content", UNREAD)}
        if UNREAD not in attributes:
            read[slot] = _digest(facts)
            if "content" in attributes:
                read[slot + CONTENT] = attributes["content"]
        elif "target" in attributes and "layer" not in attributes:
            unread[slot] = attributes[UNREAD]
        else:
            read[slot] = _digest(facts)
            unread[slot + CONTENT] = attributes[UNREAD]
    return Listing(read, unread)


def changed(signed: Listing, found: Listing) -> frozenset[str]:
    """Return the slots that are proven to differ. A slot that is unread on a side proves no difference."""
    slots = signed.read.keys() | found.read.keys()
    differing = {slot for slot in slots if signed.read.get(slot) != found.read.get(slot)}
    unproven = {slot for slot in differing if _is_unread(slot, signed, found)}
    return frozenset(differing - unproven | _added(signed, found))


def _is_unread(slot: str, signed: Listing, found: Listing) -> bool:
    """Tell whether a slot that only one side has may be missing on the other side because it was unread."""
    if slot not in found.read:
        return _covers(found.unread, slot)
    return slot not in signed.read and _covers(signed.unread, slot)


def _added(signed: Listing, found: Listing) -> set[str]:
    """Return the unread slots of files that were not there when the server was signed."""
    if ALL in signed.unread:
        return set()
    known = (*signed.read, *signed.unread)
    return {
        slot
        for slot in found.unread
        if slot and not slot.startswith(f"{UNLISTED}/") and not any(_is_within(one, slot) for one in known)
    }


def _covers(unread: Mapping[str, str], slot: str) -> bool:
    return any(_is_within(slot, wider) for wider in unread)


def _is_within(slot: str, wider: str) -> bool:
    return wider in (ALL, slot) or slot.startswith((f"{wider}/", f"{wider}:"))


def _slot(attributes: Mapping[str, str], seen: Counter[str]) -> str:
    """Name the slot of a file: for a disk by its target, otherwise by role and order within the role."""
    role = attributes.get("role", "")
    if "target" not in attributes:
        seen[role] += 1
        return f"{role}/{seen[role]}"
    slot = "/".join(
        part
        for part in (
            f"{role}/{_plain(attributes['target'])}",
            attributes.get("layer"),
            "data" if attributes.get("kind") == "data" else None,
        )
        if part is not None
    )
    seen[slot] += 1
    return slot if seen[slot] == 1 else f"{slot}/again-{seen[slot]}"


def _plain(target: str) -> str:
    """Return a target as it is, or its digest if it is no target that libvirt would choose."""
    is_plain = 0 < len(target) <= _LONGEST and _PLAIN.issuperset(target)
    return target if is_plain else hashlib.sha256(target.encode()).hexdigest()[:16]


def _digest(facts: Mapping[str, str]) -> str:
    text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
