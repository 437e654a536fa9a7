"""The profile "libvirt-domain/2": which part of a domain belongs to which section, and what is left out.

A profile is a promise: two agents that name the same profile produce the same digests for the same domain.
Every change of these tables that can change a digest therefore needs a new profile name.

The rule of thumb: what is not listed is measured. An element nobody has heard of lands in the section
"other", so a new libvirt feature shows up as a difference instead of passing unseen.

What is measured is strict, or host-bound: rewritten by whoever moves a server to another node, so that it is
learned anew after a move (`events.binding`).
"""

from __future__ import annotations

from sealward.events.comparison.measurement import LIBVIRT_DOMAIN

PROFILE = LIBVIRT_DOMAIN
DIGESTS = b"libvirt-domain/2\0"
"""What each digest begins with. It names the form of the digests, which is that of the profile before: a part
that both profiles measure alike has one digest under both."""

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
# only. Everything placed here becomes invisible in the running form, so it stays as small as can be.
HOST_EXPANDED = frozenset({"cpu"})

# Where the attributes of the two containers go. The virtualisation type is one of <domain>.
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
    "files": "files",  # no element of libvirt's: what was measured of the domain's files
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
"""The chain of images below a disk: as the domain declares it, or as libvirt probed it for a running one."""


def _other_than(names: str) -> str:
    return " and ".join(f"name() != '{name}'" for name in names.split())


MEASURED_CHAIN = (
    f"{CHAIN}[not(descendant::*[{_other_than('backingStore format source host')}])]"
    f"[not(descendant-or-self::*/@*[{_other_than('type index file dev protocol name port transport')}])]"
)
"""A chain that is left out where files are measured, for they say all of it. One with anything else in it, a
slice of an image for instance, is measured as it stands."""


def section_of(xpath: str) -> str:
    """Return the section that a path from /domain belongs to."""
    steps = [step.partition("[")[0] for step in xpath.split("/")[2:]]
    if not steps or steps[0].startswith("@"):
        return DOMAIN_SECTION
    if steps[0] != "devices":
        return ELEMENT_SECTIONS.get(steps[0], "other")
    return CONTAINER_SECTION if len(steps) == 1 else DEVICE_SECTIONS.get(steps[1], "other")
