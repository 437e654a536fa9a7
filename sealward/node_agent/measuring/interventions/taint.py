"""Taints: libvirt's notes about changes to a running server that its definition does not show.

libvirt keeps the taints of a running domain until the domain is switched off. A client that may only read
gets them as messages of virDomainGetMessages, in English where libvirtd runs without a language of its own
(libvirt 9.0, observed). libvirt sends no event for a taint, but writes the state of the domain to its run
folder.

A taint that follows from the definition does not count, because the definition is measured. A taint that
follows from settings of the node, or from a command inside the guest, does not count, because a sign does not
cover these. Every other taint counts, and so does a message that is not listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.node_agent.ledger.saved_images import EXCHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "tainted: "
"""The beginning of messages about taints. The text of virDomainTaintMessageTypeToString follows it (libvirt
9.0, src/conf/domain_conf.c)."""
LONGEST: Final = 200
"""Characters that are kept of a message that is not listed."""
MOST: Final = 50
"""Taints that are reported of one server."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A kind of taint, by its flag in libvirt.

    `follows_from` has texts. Where a definition contains any of these texts, the taint follows from the
    definition. With `is_ignored` the taint never counts, and `why` gives the reason. `has_changed` says
    whether the taint proves that the server was changed: a question to QEMU's monitor taints, too.
    """

    flag: str
    why: str
    follows_from: tuple[str, ...] = ()
    is_ignored: bool = False
    has_changed: bool = True


TAINTS: Final = {
    "custom monitor control commands issued": Taint(
        "custom-monitor",
        "QEMU was told or asked something past libvirt: no definition shows what was plugged in",
        has_changed=False,
    ),
    "managing externally launched configuration": Taint(
        "external-launch", "QEMU was started by somebody else, with arguments that libvirt does not know"
    ),
    "configuration potentially modified by hook script": Taint(
        "hook-script", "a hook has rewritten the domain that was started or received"
    ),
    "use of disk format probing": Taint(
        "disk-probing", "the guest decides what its disk is, and so which files of the host are read"
    ),
    "custom configuration parameters specified": Taint(
        "custom-argv", "arguments for QEMU are part of the definition", (":commandline",)
    ),
    "custom device configuration": Taint(
        "custom-device", "changed properties of devices are part of the definition", (":override",)
    ),
    "network configuration using opaque shell scripts": Taint(
        "shell-scripts", "the script of an interface is part of the definition", ("<script ", "<downscript ")
    ),
    "potentially unsafe use of host CPU passthrough": Taint(
        "host-cpu", "the mode of the processor is part of the definition", ("host-passthrough", "'maximum'")
    ),
    "use of host cdrom passthrough": Taint(
        "cdrom-passthrough", "the drive of the host is part of the definition", ("device='cdrom'",)
    ),
    "custom device tree blob used": Taint("custom-dtb", "the file is part of the definition", ("<dtb>",)),
    "running with undesirable elevated privileges": Taint(
        "high-privileges", "qemu.conf of the node decides as which user QEMU runs", is_ignored=True
    ),
    "custom guest agent control commands issued": Taint(
        "custom-ga-command", "what is run inside a guest is not what is signed", is_ignored=True
    ),
    "hypervisor feature autodetection override": Taint(
        "custom-hypervisor-feature", "it is about the virtualisation of a container", is_ignored=True
    ),
    "use of deprecated configuration settings": Taint(
        "deprecated-config", "libvirt's opinion of a definition that is measured", is_ignored=True
    ),
}
"""The known taints by the text of libvirt's message."""


CHANGES: Final = frozenset(
    (EXCHANGED, *(one.flag for one in TAINTS.values() if one.has_changed and not one.is_ignored))
)
"""The taints that prove a change of a server. Every other taint that counts may be harmless."""


def counting(messages: Iterable[str], config: str) -> tuple[str, ...]:
    """Return the taints of a running domain that count, each as its flag, or as libvirt's text if not known.

    `messages` are those of virDomainGetMessages; `config` is the persistent form of the domain.
    """
    found = {_taint(one.removeprefix(PREFIX), config) for one in messages}
    return tuple(sorted(one for one in found if one))[:MOST]


def _taint(text: str, config: str) -> str | None:
    known = TAINTS.get(text) or TAINTS.get(text.partition(":")[0])
    if known is None:
        return escaped(text, LONGEST)
    follows = known.is_ignored or any(one in config for one in known.follows_from)
    return None if follows else known.flag
