"""The sections of a domain under the profile "libvirt-domain/3", and the chains of images that are left out.

A profile is a promise: two agents that name the same profile produce the same digests for the same domain.
Every change of these tables that can change a digest therefore needs a new profile name.

A part that is not listed is measured. An unknown element belongs to the section "other", so a new feature of
libvirt is seen as a difference.

A measured part is strict or host-bound. A host-bound part is rewritten by a move to another node, and learned
anew after the move (`events.comparison.binding`).
"""

from __future__ import annotations

from sealward.events.comparison.measurement import LIBVIRT_DOMAIN

PROFILE = LIBVIRT_DOMAIN
DIGESTS = b"libvirt-domain/2\0"
"""Begins the input of each digest, and names the form of the digests. The profile "libvirt-domain/2" has the
same form, so a part that both profiles measure alike has the same digest under both."""

SECTIONS = (
    "identity",
    "boot",
    "cpu",
    "memory",
    "tuning",
    "features",
    "disks",
    "interfaces",
    "hostdevs",
    "graphics",
    "devices",
    "security",
    "metadata",
    "qemu-ext",
    "files",
    "other",
)

# Sections that libvirt expands for the node when the domain starts: they are compared in the persistent form
# only. A section in this set is not seen in the running form, so the set stays as small as possible.
HOST_EXPANDED = frozenset({"cpu"})

# The section of the attributes of <domain> and <devices>. The type of virtualisation is an attribute of
# <domain>.
DOMAIN_SECTION = "identity"
CONTAINER_SECTION = "other"

# A vcpu count is tuning and not cpu: setvcpus on a running domain must be seen (see HOST_EXPANDED).
ELEMENT_SECTIONS = {
    "name": "identity",
    "uuid": "identity",
    "genid": "identity",
    "hwuuid": "identity",
    "title": "identity",
    "description": "identity",
    "sysinfo": "identity",
    "os": "boot",
    "bootloader": "boot",
    "bootloader_args": "boot",
    "cpu": "cpu",
    "memory": "memory",
    "currentMemory": "memory",
    "maxMemory": "memory",
    "memoryBacking": "memory",
    "vcpu": "tuning",
    "vcpus": "tuning",
    "iothreads": "tuning",
    "iothreadids": "tuning",
    "defaultiothread": "tuning",
    "cputune": "tuning",
    "memtune": "tuning",
    "numatune": "tuning",
    "blkiotune": "tuning",
    "throttlegroups": "tuning",
    "resource": "tuning",
    "perf": "tuning",
    "features": "features",
    "clock": "features",
    "pm": "features",
    "on_poweroff": "features",
    "on_reboot": "features",
    "on_crash": "features",
    "on_lockfailure": "features",
    "seclabel": "security",
    "launchSecurity": "security",
    "keywrap": "security",
    "idmap": "security",
    "metadata": "metadata",
    "files": "files",  # not an element of libvirt: the measured files of the domain
}

DEVICE_SECTIONS = {
    "emulator": "boot",
    "disk": "disks",
    "filesystem": "disks",
    "interface": "interfaces",
    "hostdev": "hostdevs",
    "redirdev": "hostdevs",
    "redirfilter": "hostdevs",
    "graphics": "graphics",
    "video": "graphics",
    **dict.fromkeys(
        (
            "audio",
            "channel",
            "console",
            "controller",
            "crypto",
            "hub",
            "input",
            "iommu",
            "lease",
            "memballoon",
            "memory",
            "nvram",
            "panic",
            "parallel",
            "pstore",
            "rng",
            "serial",
            "shmem",
            "smartcard",
            "sound",
            "tpm",
            "vsock",
            "watchdog",
        ),
        "devices",
    ),
}

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
NAMESPACES = {"nova": "http://openstack.org/xmlns/libvirt/nova/1.1"}


CHAIN = "devices/disk/backingStore"
"""The chain of images below a disk: declared by the domain, or probed by libvirt for a running domain."""


def _other_than(names: str) -> str:
    return " and ".join(f"name() != '{name}'" for name in names.split())


MEASURED_CHAIN = (
    f"{CHAIN}[not(descendant::*[{_other_than('backingStore format source host')}])]"
    f"[not(descendant-or-self::*/@*[{_other_than('type index file dev protocol name port transport')}])]"
)
"""A chain that is left out where files are measured, because the files describe it completely. A chain with
other content, for example a slice of an image, is measured as it stands."""


def section_of(xpath: str) -> str:
    """Return the section that a path from /domain belongs to."""
    steps = [step.partition("[")[0] for step in xpath.split("/")[2:]]
    if not steps or steps[0].startswith("@"):
        return DOMAIN_SECTION
    if steps[0] != "devices":
        return ELEMENT_SECTIONS.get(steps[0], "other")
    return CONTAINER_SECTION if len(steps) == 1 else DEVICE_SECTIONS.get(steps[1], "other")
