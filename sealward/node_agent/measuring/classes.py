"""The classes of a domain's parts under the profile "libvirt-domain/3", with a reason for each part.

Every attribute, text and element of a domain is of one class (docs/profile.md lists all parts):

- *configuration*: each part that no table below names. It is strict.
- *derived*: libvirt computes the part from the configuration, at define or at start. The part is compared
  with the configuration that it must follow from (`completing`), or left out where libvirt alone writes it.
- *assigned*: libvirt or nova picks a value, and any value is right. The value is not measured. The element
  that has the value is measured, with its position among its siblings.
- *state*: changed by the guest or by monitoring. It is never measured.
- *bound*: rewritten by a move to another node. It is strict while the sign stays on its node, and learned
  anew after a move (`events.comparison.binding`).

XPaths start below <domain>. A part that is not listed is configuration, so a new feature of libvirt is seen
as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealward.events.findings.kind import Kind


@dataclass(frozen=True, slots=True)
class Part:
    """Parts of a domain that have one class for one reason: XPaths below <domain>."""

    kind: Kind
    why: str
    xpaths: tuple[str, ...]


_CHARACTER_DEVICES: Final = ("serial", "console", "channel", "parallel")
_PTYS: Final = tuple(f"devices/{device}[@type='pty']" for device in _CHARACTER_DEVICES)
_AUTO_CHANNEL: Final = (
    "devices/channel[@type='unix']/source[@mode='bind'][count(@*) = 2][not(*)]"
    "[starts-with(@path, '/var/lib/libvirt/qemu/channel/')"
    " or starts-with(@path, '/run/libvirt/qemu/channel/')]"
    "[not(contains(@path, '/../'))][../target/@name]"
    "[substring(@path, string-length(@path) - string-length(../target/@name)) = concat('/', ../target/@name)]"
)
_DEFAULT_SECLABEL: Final = (
    "seclabel[@type='dynamic'][not(@relabel) or @relabel='yes']"
    "[count(@*) = count(@type) + count(@model) + count(@relabel)]"
    "[not(@model) or @model='dac' or @model='selinux' or @model='apparmor']"
    "[not(*[not(self::label or self::imagelabel)])]"
)


def _numbered(prefix: str) -> str:
    """Return an XPath condition: the node is `prefix` followed by digits and nothing else."""
    rest = f"substring-after(., '{prefix}')"
    return f"(starts-with(., '{prefix}') and {rest} != '' and translate({rest}, '0123456789', '') = '')"


LEFT_OUT: Final = (
    Part(Kind.ASSIGNED, "the number that libvirt gives a running domain", ("@id",)),
    Part(
        Kind.ASSIGNED,
        "aliases are handed out at start; an alias that begins with ua- is the administrator's and strict",
        ("devices/*/descendant::alias/@name[not(starts-with(., 'ua-'))]",),
    ),
    Part(
        Kind.ASSIGNED,
        "names of nodes in the running block layer",
        ("devices/disk/source/@index", "devices/disk/backingStore/descendant-or-self::*/@index"),
    ),
    Part(
        Kind.STATE,
        "secrets that only a SECURE dump shows",
        (
            "devices/graphics/@passwd",
            "devices/graphics/@passwdValidTo",
            "devices/disk/source/cookies",
        ),
    ),
    Part(
        Kind.ASSIGNED,
        "ports that libvirt picks at start",
        tuple(f"devices/graphics[@autoport='yes']/@{name}" for name in ("port", "tlsPort", "websocket")),
    ),
    Part(
        Kind.ASSIGNED,
        "pseudo terminals picked at start",
        (*(f"{pty}/source/@path" for pty in _PTYS), "devices/console[@type='pty']/@tty"),
    ),
    Part(Kind.STATE, "whether the guest has a channel open", ("devices/channel/target/@state",)),
    Part(Kind.ASSIGNED, "the socket of a channel that libvirt names itself", (_AUTO_CHANNEL,)),
    Part(
        Kind.ASSIGNED,
        "tap devices that libvirt names itself",
        (
            "devices/interface/target/@dev["
            + " or ".join(_numbered(prefix) for prefix in ("vnet", "macvtap", "macvlan"))
            + "]",
        ),
    ),
    Part(
        Kind.ASSIGNED,
        "the port of a libvirt network, new at each start",
        ("devices/interface/source[@network]/@portid",),
    ),
    Part(
        Kind.DERIVED,
        "the bridge of a virtual network that has one of its own",
        ("devices/interface[@type='network']/source[@network]/@bridge",),
    ),
    Part(
        Kind.DERIVED,
        "the only PCI backend QEMU still has, written out at start",
        ("devices/hostdev[@type='pci']/driver[count(@*) = 1 and not(*)]/@name[. = 'vfio']",),
    ),
    Part(
        Kind.DERIVED,
        "labels generated at start, and the seclabel that says nothing but the default",
        (
            "seclabel[@type='dynamic']/label",
            "seclabel[@type='dynamic']/imagelabel",
            _DEFAULT_SECLABEL,
        ),
    ),
    Part(
        Kind.STATE,
        "a file system that takes no labels, in the running form alone: libvirt accepts it in no definition",
        ("devices/*/source/descendant::seclabel[@labelskip='yes'][count(@*) = 1 + count(@model)][not(*)]",),
    ),
    Part(
        Kind.DERIVED,
        "the default cgroup partition",
        ("resource[not(@*)][count(*) = 1][partition[not(@*) and not(*) and . = '/machine']]",),
    ),
    Part(
        Kind.STATE,
        "the guest ejects and closes the tray of a drive that takes other media",
        ("devices/disk[@device='cdrom' or @device='floppy']/target/@tray",),
    ),
    Part(
        Kind.STATE,
        "the guest sets its clock, and libvirt keeps by how much",
        ("clock[@offset='variable']/@adjustment",),
    ),
    Part(Kind.STATE, "how often monitoring asks the guest for its memory", ("devices/memballoon/stats",)),
    Part(
        Kind.STATE,
        "the guest gives its network card another address (libvirt 11.2)",
        ("devices/interface/mac/@currentAddress",),
    ),
    Part(
        Kind.STATE,
        "how much of a memory device the guest has plugged in",
        ("devices/memory[@model='virtio-mem']/target/current",),
    ),
    Part(
        Kind.ASSIGNED,
        "the number of a socket to the host that libvirt picks",
        ("devices/vsock/cid[@auto='yes']/@address",),
    ),
    Part(
        Kind.ASSIGNED,
        "where a memory device lies in the memory of the guest",
        ("devices/memory/address/@base", "devices/memory/target/address"),
    ),
    Part(
        Kind.ASSIGNED,
        "what nova says of a server: written anew at each start, read by nobody who runs the server",
        ("metadata/nova:instance/nova:*",),
    ),
    Part(
        Kind.ASSIGNED,
        "the version of nova, in the tables that the guest reads",
        (
            (
                "self::domain[metadata/nova:instance]/sysinfo[@type='smbios']/system"
                "/entry[@name='version']/text()"
            ),
        ),
    ),
)
"""Parts that are dropped before a domain is measured. An element that is empty after an attribute was dropped
is dropped, too, unless it is a device or a child of <domain>."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Elements with attributes whose values libvirt picks. The rest of each element is measured."""

    why: str
    xpath: str
    attributes: frozenset[str]


BLANKED: Final = (
    Assigned(
        "addresses on the guest's buses are dealt out anew whenever a definition without them is read; the "
        "order of the devices is strict",
        "devices/*/address[@type='pci' or @type='usb' or @type='ccw' or @type='spapr-vio'"
        " or @type='virtio-serial' or @type='ccid' or @type='virtio-mmio' or @type='isa'"
        " or @type='dimm']",
        frozenset(
            (
                *("domain", "bus", "slot", "function", "multifunction", "port"),
                *("cssid", "ssid", "devno", "reg", "controller", "iobase", "irq", "base"),
            )
        ),
    ),
    Assigned(
        "numbers of PCI ports, as above",
        "devices/controller[@type='pci']/target",
        frozenset(("chassis", "chassisNr", "port", "busNr")),
    ),
)
"""Values that libvirt assigns when a domain is defined. Every form of the domain has them from then on."""

BOUND: Final = (
    Part(
        Kind.BOUND,
        "the address that a console listens on",
        ("devices/graphics/@listen", "devices/graphics/listen/@address"),
    ),
    Part(
        Kind.BOUND,
        "where a serial port over TCP is offered",
        tuple(
            f"devices/{device}[@type='tcp']/source/@{name}"
            for device in ("serial", "console")
            for name in ("host", "service")
        ),
    ),
    Part(
        Kind.BOUND,
        "the path to a volume, which is known by its serial",
        (
            "devices/disk[@type='block'][serial]/source/@dev",
            "devices/disk[@type='network'][serial]/source/host",
        ),
    ),
    Part(
        Kind.BOUND,
        "the monitors of a Ceph cluster: how to get to an image that is known by pool and name",
        ("devices/disk[@type='network'][not(serial)]/source[@protocol='rbd']/host",),
    ),
    Part(
        Kind.BOUND,
        "how a volume that is known by its serial is read here, and the secret that its key is kept under",
        (
            "devices/disk[serial][@type='block' or @type='network']/driver/@cache",
            "devices/disk[serial][@type='block' or @type='network']/driver/@io",
            "devices/disk[serial]/encryption/secret/@uuid",
            "devices/disk[serial]/source/encryption/secret/@uuid",
        ),
    ),
    Part(Kind.BOUND, "performance counters", ("perf",)),
    Part(
        Kind.BOUND,
        "how memory is given out and taken back, and from where",
        tuple(f"memoryBacking/{name}" for name in ("access", "allocation", "discard", "source")),
    ),
    Part(
        Kind.BOUND,
        "the processors and memory nodes that the node gives to a server",
        (
            "cputune/shares",
            "cputune/vcpupin/@cpuset",
            "cputune/emulatorpin/@cpuset",
            "cputune/iothreadpin/@cpuset",
            "cputune/vcpusched",
            "numatune/memory/@nodeset",
            "numatune/memnode/@nodeset",
            "vcpu/@cpuset",
        ),
    ),
    Part(
        Kind.BOUND,
        "which mediated device of its kind",
        ("devices/hostdev[@type='mdev']/source/address/@uuid",),
    ),
    Part(
        Kind.BOUND,
        "which PCI device of the node, as the flavor asks for it",
        ("devices/hostdev[@type='pci']/source/address",),
    ),
    Part(Kind.BOUND, "the file behind a persistent memory", ("devices/memory[@model='nvdimm']/source/path",)),
    Part(
        Kind.BOUND,
        "how a port is plugged into the node's network",
        (
            "devices/interface/source/@bridge",
            "devices/interface/source/@dev",
            "devices/interface/source/@path",
            "devices/interface[@type='hostdev']/source/address",
        ),
    ),
)
"""Exactly the parts that nova rewrites for the destination of a live migration
(nova/virt/libvirt/migration.py, get_updated_guest_xml). Where nova rewrites only a value, the element with
the value stays strict: the pinning, the port or the volume must still be there."""

IDENTIFYING: Final = (
    "devices/disk[@type='block'][serial]/source/@dev",
    "devices/hostdev[@type='mdev']/source/address/@uuid",
    "devices/hostdev[@type='pci']/source/address",
    "devices/memory[@model='nvdimm']/source/path",
    "devices/interface/source/@bridge",
    "devices/interface/source/@dev",
    "devices/interface/source/@path",
    "devices/interface[@type='hostdev']/source/address",
    "devices/disk[serial]/encryption/secret/@uuid",
    "devices/disk[serial]/source/encryption/secret/@uuid",
)
"""Bound parts that say *which* device, network or file is meant. Two domains alone do not show whether two
devices are the same. So a change that no move explains is a violation wherever two domains are compared."""

BOUND_SECTIONS: Final = frozenset(
    {"devices", "disks", "graphics", "hostdevs", "interfaces", "memory", "tuning"}
)
"""The sections that have bound parts, which are cut out of them."""
