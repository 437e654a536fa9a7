"""The registry of findings: each code with its class, its meaning and what to do. docs/findings.md lists it.

A code is stable: it keeps its meaning, and a code that is given no longer stays in the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.findings.kind import Kind
from sealward.events.findings.meaning import Meaning
from sealward.events.findings.subject import DEVICES, ELEMENTS, OF_SECTIONS, UNKNOWN, is_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealward.events.findings.subject import Subject

_SIGN: Final = "If the change was meant, sign the server anew; if not, undo it."
_RESTART: Final = "Switch the server off and on, or sign it anew if the action was meant."

ADDED: Final = "added"
REMOVED: Final = "removed"
CHANGED: Final = "changed"
MOVED: Final = "moved"
_CHANGES: Final = {
    ADDED: "is there and was not signed",
    REMOVED: "was signed and is gone",
    CHANGED: "is not as it was signed",
    MOVED: "has another place among the devices of its kind: the guest sees the devices in that order",
}


def _subjects() -> tuple[Subject, ...]:
    every = (*DEVICES.values(), *ELEMENTS.values(), *OF_SECTIONS.values(), UNKNOWN)
    return tuple(dict.fromkeys(every))


def _of_subjects() -> Iterator[Meaning]:
    for one in _subjects():
        changes = _CHANGES if is_device(one) else {CHANGED: "not as it was signed"}
        for change, means in changes.items():
            to_do = f"{one.look[0].upper()}{one.look[1:]}. {_SIGN}"
            yield Meaning(f"{one.word}-{change}", Kind.CONFIGURATION, f"{one.noun}: {means}", to_do)


_FILE: Final = f"Find out who has written to the file. {_SIGN}"
FILES: Final = (
    Meaning("file-added", Kind.CONFIGURATION, "A file that decides what runs was not there", _FILE),
    Meaning("file-removed", Kind.CONFIGURATION, "A file that was signed is not in use any more", _FILE),
    Meaning("file-content-changed", Kind.CONFIGURATION, "The content of a file is another", _FILE),
    Meaning(
        "file-changed", Kind.CONFIGURATION, "Path, format, size or links of a file are not as signed", _FILE
    ),
    Meaning("file-moved", Kind.CONFIGURATION, "The files of the server are in another order", _FILE),
    Meaning(
        "file-not-compared",
        Kind.CONFIGURATION,
        "A file could not be read, so it proves no difference; the found value has the reason",
        "Do what the reason asks for (see the reasons of verdicts), then have the server validated.",
    ),
)

_BOUND: Final = (
    "If the server was moved, let its sign move. If not, find out who has changed the definition; "
    "sign the server anew if the change was meant."
)
BOUND: Final = {
    section: Meaning(f"bound-{word}-changed", Kind.BOUND, f"{what}; only a move may change that", _BOUND)
    for section, word, what in (
        ("disks", "disk", "A volume has another path, or is read in another way"),
        ("interfaces", "interface", "A port is plugged into another network of the node"),
        ("graphics", "console", "A console listens on another address"),
        ("hostdevs", "host-device", "The device of the node is another"),
        ("memory", "memory", "The memory is given out in another way, or comes from elsewhere"),
        ("tuning", "tuning", "Processors or memory nodes of the node are others"),
        ("devices", "device", "A serial port is offered elsewhere, or memory has another file"),
    )
}
"""The codes about host-bound parts by section."""
BOUND_UNEXPLAINED: Final = Meaning(
    "bound-changed", Kind.BOUND, "Host-bound parts differ; the other findings say which, if known", _BOUND
)

_DECIDED: Final = (
    "Nothing at the first start after a seal, or after a move. Later it is a violation: look at what has "
    "changed on the node, and sign the server anew if the change was meant."
)
STARTED: Final = {
    group: Meaning(f"start-{word}-decided", Kind.DERIVED, f"A start decided {what}", _DECIDED)
    for group, word, what in (
        ("boot", "firmware", "which firmware the server has"),
        ("interfaces", "network", "what a libvirt network is on this node: the bridge or the device"),
        ("graphics", "console", "on which address a console listens"),
        ("", "value", "a value that the definition leaves to the node"),
    )
}
"""The codes about values that a start decided, by section; "" for all other sections."""
REDEFINED: Final = Meaning(
    "redefined-from-running",
    Kind.DERIVED,
    "The definition was made anew of a running form, with values that no start has decided",
    f"Compare the definition with the signed definition. {_SIGN}",
)

DOORS: Final = {
    what: Meaning(code, Kind.CONFIGURATION, f"A way in that was not signed: {means}", _SIGN)
    for code, what, means in (
        ("door-memory-file", "memory is a file", "the memory of the server is a file of the node"),
        ("door-memory-shared", "memory is shared", "other processes may be given the memory"),
        ("door-cell-shared", "memory of some cells is shared", "other processes may be given some memory"),
        ("door-pages-merged", "pages may be merged", "equal pages of servers are merged"),
        ("door-memory-swapped", "memory may be swapped out", "memory may be written to a disk of the node"),
        ("door-websocket", "offers a websocket", "a console has a websocket"),
        ("door-beyond-node", "listens beyond the node", "a port can be reached from other hosts"),
        ("door-every-address", "listens on every address", "a port can be reached on every address"),
    )
}
"""The codes about doors by the kind of the door (`node_agent.measuring.doors`)."""
DOOR: Final = Meaning("door-opened", Kind.CONFIGURATION, "A way in that was not signed", _SIGN)

TAINTS: Final = {
    flag: Meaning(f"taint-{flag}", Kind.CONFIGURATION, f"{what}, beside the definition", _RESTART)
    for flag, what in (
        ("custom-monitor", "QEMU of the running server was given a command"),
        ("external-launch", "QEMU was started by another program"),
        ("hook-script", "A hook of the node has changed the domain"),
        ("disk-probing", "The format of a disk was guessed from its content"),
        ("custom-argv", "QEMU was given arguments"),
        ("custom-device", "Properties of a device were changed"),
        ("shell-scripts", "A script of the node has configured a network interface"),
        ("host-cpu", "The server has the processor of the host"),
        ("cdrom-passthrough", "The server has the CD drive of the host"),
        ("custom-dtb", "The server was given a device tree"),
        ("saved-image-exchanged", "The saved memory of the server was exchanged or changed"),
    )
}
"""The codes about taints by libvirt's flag (`node_agent.measuring.interventions.taint`)."""
TAINT: Final = Meaning(
    "taint-other", Kind.CONFIGURATION, "libvirt reports something done beside the definition", _RESTART
)

NAMED: Final = {
    kind: Meaning(f"{word}-redefined", Kind.BOUND, f"{what} is not as it was signed", f"{look} {_SIGN}")
    for kind, word, what, look in (
        (
            "network",
            "network",
            "A libvirt network that the server is plugged into",
            "Run `virsh net-dumpxml`: which bridge or device is it now?",
        ),
        (
            "network-link",
            "network-link",
            "The bridge or the device of a libvirt network that the server is plugged into",
            "Run `virsh net-dumpxml`: who has moved the network?",
        ),
        (
            "pool-place",
            "storage-pool-place",
            "The place of a storage pool of the server",
            "Run `virsh pool-dumpxml`: who has moved the pool?",
        ),
        (
            "nwfilter",
            "network-filter",
            "A network filter of the server, or a filter that it includes,",
            "Run `virsh nwfilter-dumpxml`, and check which packets the filter lets pass now.",
        ),
        (
            "pool",
            "storage-pool",
            "A storage pool of the server",
            "Run `virsh pool-dumpxml`: where does it lie now?",
        ),
        (
            "volume",
            "storage-volume",
            "A volume of a storage pool lies elsewhere, or its content",
            "Run `virsh vol-path`: which file is it now?",
        ),
    )
}
"""The codes about objects that the server names and the node defines, by kind."""
NAMED_OTHER: Final = Meaning(
    "named-redefined",
    Kind.BOUND,
    "An object of the node that the server names is not as it was signed",
    _SIGN,
)

_EXCHANGED: Final = (
    "Find out who has put another device there. If the change was meant, sign the server anew; if not, put "
    "the signed device back."
)
EXCHANGED: Final = {
    tag: Meaning(f"{word}-exchanged", Kind.CONFIGURATION, f"{what} in the signed place", _EXCHANGED)
    for tag, word, what in (
        ("disk", "volume", "Another volume or disk of the node"),
        ("interface", "adapter", "Another adapter or network device of the node"),
        ("hostdev", "host-device", "Another device of the node"),
        ("memory", "memory-device", "Another memory device of the node"),
    )
}
"""The codes about the identities of devices by the kind of the element (`events.comparison.devices`)."""
EXCHANGED_OTHER: Final = Meaning(
    "device-exchanged",
    Kind.CONFIGURATION,
    "Another device of the node in the place of the signed one",
    _EXCHANGED,
)
DEVICE_LOST: Final = Meaning(
    "device-not-identified",
    Kind.CONFIGURATION,
    "A device that the server was signed with is not there, or cannot be seen",
    "Plug the device in, or give the agent the right to see it (docs/profile.md).",
)

FIRMWARE: Final = {
    change: Meaning(
        f"node-firmware-{change}",
        Kind.CONFIGURATION,
        f"A firmware file of the node {what}",
        "If the node was upgraded, accept the firmware; if not, take the node out of service.",
    )
    for change, what in ((ADDED, "is new"), (REMOVED, "is gone"), (CHANGED, "is another"))
}

CLAIMED: Final = Meaning(
    "claimed-by-node",
    Kind.BOUND,
    "Another node says that it runs the server",
    "Find out where the server runs. Move the sign there, or remove the server from the other node.",
)
OWNED: Final = Meaning(
    "belongs-to-signed",
    Kind.CONFIGURATION,
    "The server that was to start has the name or the boot disk of a signed server",
    "Find out who defined the server. Sign it, or remove it.",
)
SECTION: Final = Meaning(
    "section-changed",
    Kind.CONFIGURATION,
    "A section differs by its digest, and no evidence says where",
    f"Run `sealward measure` on the node. {_SIGN}",
)
MASKED: Final = Meaning(
    "masked-value-changed",
    Kind.CONFIGURATION,
    "A value changed that is masked, because its name is that of a secret",
    f"Look at the value on the node, in the definition of the server. {_SIGN}",
)
UNREADABLE: Final = Meaning(
    "evidence-unreadable",
    Kind.CONFIGURATION,
    "A section differs, and the evidence of the reference or of the measurement cannot be read",
    f"Have the server validated once more. {_SIGN}",
)

HARMLESS: Final[dict[str, Meaning]] = {
    kind: Meaning(f"{kind}-changed", kind, f"{means} `sealward diff` shows it; no verdict has it", "Nothing.")
    for kind, means in (
        (Kind.DERIVED, "libvirt has made a part of the configuration, as it must be."),
        (Kind.ASSIGNED, "libvirt or nova has picked another value where any value will do."),
        (Kind.STATE, "The guest or monitoring has moved a state."),
    )
}
"""The codes of differences that are no violation, by class."""

FINDINGS: Final = {
    one.code: one
    for one in (
        *_of_subjects(),
        *FILES,
        *BOUND.values(),
        BOUND_UNEXPLAINED,
        *STARTED.values(),
        REDEFINED,
        *DOORS.values(),
        DOOR,
        *TAINTS.values(),
        TAINT,
        *NAMED.values(),
        NAMED_OTHER,
        *EXCHANGED.values(),
        EXCHANGED_OTHER,
        DEVICE_LOST,
        *FIRMWARE.values(),
        CLAIMED,
        OWNED,
        SECTION,
        MASKED,
        UNREADABLE,
        *HARMLESS.values(),
    )
}
"""The registry by code."""
