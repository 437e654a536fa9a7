"""The profile "libvirt-domain/2": which part of a domain belongs to which section, and what is left out.

A profile is a promise: two agents that name the same profile produce the same digests for the same domain.
Every change of these tables that can change a digest therefore needs a new profile name.

The rule of thumb: what is not listed is measured. An element nobody has heard of lands in the section
"other", so a new libvirt feature shows up as a difference instead of passing unseen.

What is measured is strict, or host-bound: rewritten by whoever moves a server to another node, so that it is
learned anew after a move (`events.binding`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sealward.events.comparison.measurement import LIBVIRT_DOMAIN

PROFILE = LIBVIRT_DOMAIN

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


@dataclass(frozen=True, slots=True)
class Noise:
    """Something that is not measured: XPaths below <domain>, and why leaving them out is safe.

    An element selected here is dropped whole. An attribute is dropped alone, and takes along the element that
    carried nothing else, unless that is a device or a child of <domain>.
    """

    why: str
    xpaths: tuple[str, ...]


_PTYS = tuple(f"devices/{device}[@type='pty']" for device in ("serial", "console", "channel", "parallel"))
_AUTO_CHANNEL = (
    "devices/channel[@type='unix']/source[@mode='bind'][count(@*) = 2][not(*)]"
    "[starts-with(@path, '/var/lib/libvirt/qemu/channel/')"
    " or starts-with(@path, '/run/libvirt/qemu/channel/')]"
    "[not(contains(@path, '/../'))][../target/@name]"
    "[substring(@path, string-length(@path) - string-length(../target/@name)) = concat('/', ../target/@name)]"
)

_DEFAULT_SECLABEL = (
    "seclabel[@type='dynamic'][not(@relabel) or @relabel='yes']"
    "[count(@*) = count(@type) + count(@model) + count(@relabel)]"
    "[not(@model) or @model='dac' or @model='selinux' or @model='apparmor']"
    "[not(*[not(self::label or self::imagelabel)])]"
)


def _numbered(prefix: str) -> str:
    """Return an XPath condition: the node is `prefix` followed by digits and nothing else."""
    rest = f"substring-after(., '{prefix}')"
    return f"(starts-with(., '{prefix}') and {rest} != '' and translate({rest}, '0123456789', '') = '')"


NOISE = (
    Noise("the number libvirt gives a running domain", ("@id",)),
    Noise(
        "aliases are handed out at start; only those that begin with ua- are the administrator's",
        ("devices/*/alias/@name[not(starts-with(., 'ua-'))]",),
    ),
    Noise(
        "node names of the running block layer",
        (
            "devices/disk/source/@index",
            "devices/disk/mirror/source/@index",
            "devices/disk/backingStore/descendant-or-self::*/@index",
        ),
    ),
    Noise(
        "secrets that only a SECURE dump shows",
        (
            "devices/graphics/@passwd",
            "devices/graphics/@passwdValidTo",
            "devices/disk/source/cookies",
            "devices/disk/mirror/source/cookies",
        ),
    ),
    Noise(
        "ports that libvirt picks at start",
        tuple(f"devices/graphics[@autoport='yes']/@{name}" for name in ("port", "tlsPort", "websocket")),
    ),
    Noise(
        "pseudo terminals picked at start",
        (*(f"{pty}/source/@path" for pty in _PTYS), "devices/console[@type='pty']/@tty"),
    ),
    Noise(
        "whether the guest has a channel open, and the socket libvirt names itself",
        ("devices/channel/target/@state", _AUTO_CHANNEL),
    ),
    Noise(
        "tap devices that libvirt names itself",
        (
            "devices/interface/target/@dev["
            + " or ".join(_numbered(prefix) for prefix in ("vnet", "macvtap", "macvlan"))
            + "]",
        ),
    ),
    Noise(
        "what a virtual network resolved to at start (libvirt documentation, not observed)",
        (
            "devices/interface[@type='network']/source[@network]/@portid",
            "devices/interface[@type='network']/source[@network]/@bridge",
        ),
    ),
    Noise(
        "the only PCI backend QEMU still has, written out at start (libvirt documentation, not observed)",
        ("devices/hostdev[@type='pci']/driver[count(@*) = 1 and not(*)]/@name[. = 'vfio']",),
    ),
    Noise(
        "labels generated at start, and the seclabel that says nothing but the default",
        (
            "seclabel[@type='dynamic']/label",
            "seclabel[@type='dynamic']/imagelabel",
            _DEFAULT_SECLABEL,
        ),
    ),
    Noise(
        "the default cgroup partition",
        ("resource[not(@*)][count(*) = 1][partition[not(@*) and not(*) and . = '/machine']]",),
    ),
    Noise(
        "written anew whenever nova regenerates the domain (hard reboot, resize), the version after upgrades",
        ("metadata/nova:instance/nova:creationTime", "metadata/nova:instance/nova:package/@version"),
    ),
)


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

AT_START = (
    Noise(
        "whether a port over TCP is encrypted, which qemu.conf decides where the definition does not",
        ("devices/*/source/@tls[. = 'no']",),
    ),
    Noise(
        "the address that a console has on a libvirt network",
        (
            "devices/graphics/listen[@type='network']/@address",
            "devices/graphics[listen/@type='network']/@listen",
        ),
    ),
)
"""What libvirt writes into the running form alone. A running form that is as the persistent form but for this
is as the persistent form."""


@dataclass(frozen=True, slots=True)
class HostBound:
    """What nova rewrites for the destination when it moves a server live: XPaths below <domain>.

    The table follows nova/virt/libvirt/migration.py, get_updated_guest_xml, and reaches no further. Where a
    value alone is decided anew, its element stays strict: that there is a pinning, a port, a volume.
    """

    what: str
    xpaths: tuple[str, ...]


HOST_BOUND = (
    HostBound(
        "the address that a console listens on",
        ("devices/graphics/@listen", "devices/graphics/listen/@address"),
    ),
    HostBound(
        "where a serial port over TCP is offered",
        tuple(
            f"devices/{device}[@type='tcp']/source/@{name}"
            for device in ("serial", "console")
            for name in ("host", "service")
        ),
    ),
    HostBound(
        "the path to a volume, which is known by its serial",
        (
            "devices/disk[@type='block'][serial]/source/@dev",
            "devices/disk[@type='network'][serial]/source/host",
        ),
    ),
    HostBound("performance counters", ("perf",)),
    HostBound("how memory is backed", ("memoryBacking",)),
    HostBound(
        "the processors and memory nodes that the node gives to a server",
        (
            "cputune/shares",
            "cputune/vcpupin/@cpuset",
            "cputune/emulatorpin/@cpuset",
            "numatune/memory/@nodeset",
            "numatune/memnode/@nodeset",
            "vcpu/@cpuset",
        ),
    ),
    HostBound("which mediated device of its kind", ("devices/hostdev[@type='mdev']/source/address/@uuid",)),
    HostBound("the file behind a persistent memory", ("devices/memory[@model='nvdimm']/source/path",)),
    HostBound(
        "how a port is plugged into the node's network",
        (
            "devices/interface/source/@bridge",
            "devices/interface/source/@dev",
            "devices/interface/source/@path",
            "devices/interface[@type='hostdev']/source/address",
        ),
    ),
)

HOST_BOUND_SECTIONS = frozenset(
    {"devices", "disks", "graphics", "hostdevs", "interfaces", "memory", "tuning"}
)
"""The sections that the parts above are cut out of."""
