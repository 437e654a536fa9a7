"""Small QEMU guests: domain XML as nova writes it, and a kernel with a tiny initrd for those that boot."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from stack.processes import NotStarted

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sealward")
"""The folder in which scripts/setup.sh keeps files that are no installed packages."""
BUSYBOX: Final = Path("/usr/bin/busybox")
FIRMWARE: Final = Path("/usr/share/OVMF")
MEBIBYTE: Final = 1024 * 1024
READY: Final = "the guest is up"
"""The text that a booted guest writes to its console."""
INIT: Final = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t devtmpfs dev /dev
echo {READY}
while true; do /bin/busybox sleep 60; done
"""


def kernel() -> Path:
    """Return a stock kernel. Raises NotStarted."""
    found = sorted(CACHE.glob("kernel/boot/vmlinuz-*"))
    if not found:
        raise NotStarted(f"no kernel in {CACHE}: scripts/setup.sh dev fetches a kernel")
    return found[-1]


def make_initrd(file: Path) -> Path:
    """Write an initrd that says READY on the console and stays."""
    if not BUSYBOX.exists():
        raise NotStarted("no busybox here: apt-get install busybox-static")
    entries = [
        _entry("bin", stat.S_IFDIR | 0o755, b""),
        _entry("dev", stat.S_IFDIR | 0o755, b""),
        _entry("bin/busybox", stat.S_IFREG | 0o755, BUSYBOX.read_bytes()),
        _entry("init", stat.S_IFREG | 0o755, INIT.encode()),
        _entry("TRAILER!!!", 0, b""),
    ]
    file.write_bytes(gzip.compress(b"".join(entries), 1))
    return file


def make_disk(file: Path, kind: str = "qcow2", backing: tuple[Path, str] | None = None) -> Path:
    """Write an empty disk of 64 MiB, or a layer over the (file, format) of `backing`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    line = ["qemu-img", "create", "-q", "-f", kind]
    if backing is not None:
        line += ["-b", str(backing[0]), "-F", backing[1]]
    subprocess.run([*line, str(file), *(() if backing else ("64M",))], timeout=30, check=True)
    return file


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest whose files are in `folder`; `number` is in its name, its UUID and its MAC address.

    `extra` goes to the end of <devices>, `beside` to the end of <domain>; `password` is that of its console.
    With `boots` it has a kernel and an initrd of its own; with `uefi` it has OVMF.
    """

    folder: Path
    number: int = 1
    boots: bool = False
    uefi: bool = False
    memory: int = 128
    cmdline: str = "console=ttyS0 quiet panic=1"
    extra: str = ""
    beside: str = ""
    listen: str = "127.0.0.1"
    password: str | None = None

    @property
    def server_id(self) -> str:
        """Return the UUID."""
        return f"5a5a0000-0000-4000-8000-{self.number:012d}"

    @property
    def name(self) -> str:
        """Return the name that nova would give it."""
        return f"instance-{self.number:08x}"

    @property
    def disk(self) -> Path:
        """Return the disk `vda`."""
        return self.folder / self.server_id / "disk"

    @property
    def console(self) -> Path:
        """Return the log file of the guest's serial port."""
        return self.folder / self.server_id / "console.log"

    @property
    def initrd(self) -> Path:
        """Return its initrd."""
        return self.folder / self.server_id / "initrd"

    @property
    def kernel(self) -> Path:
        """Return its own copy of the kernel."""
        return self.folder / self.server_id / "vmlinuz"

    def make(self) -> Guest:
        """Write its files, those that are missing."""
        if not self.disk.exists():
            make_disk(self.disk)
        if self.boots and not self.initrd.exists():
            self.kernel.write_bytes(kernel().read_bytes())
            make_initrd(self.initrd)
        return self

    @property
    def xml(self) -> str:
        """Return the XML that defines the guest."""
        mac = f"fa:16:3e:00:{self.number // 256:02x}:{self.number % 256:02x}"
        return f"""<domain type='qemu'>
  <name>{self.name}</name>
  <uuid>{self.server_id}</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:package version="27.1.0"/>
      <nova:name>web-{self.number}</nova:name>
      <nova:creationTime>2026-11-20 06:35:11</nova:creationTime>
      <nova:flavor name="m1.small"><nova:memory>{self.memory}</nova:memory></nova:flavor>
    </nova:instance>
  </metadata>
  <memory unit='MiB'>{self.memory}</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    {self._boot}
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{self.disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='pci' model='pcie-root'/>
    {_PORTS}
    <interface type='user'>
      <mac address='{mac}'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <log file='{self.console}' append='off'/>
      <target port='0'/>
    </serial>
    <graphics type='vnc' port='-1' autoport='yes' listen='{self.listen}'{self._password}/>
    <video><model type='vga'/></video>
    <memballoon model='virtio'/>
    {self.extra}
  </devices>
  {self.beside}
</domain>
"""

    @property
    def _password(self) -> str:
        return "" if self.password is None else f" passwd='{self.password}'"

    @property
    def _boot(self) -> str:
        if self.boots:
            line = escape(self.cmdline)
            return f"<kernel>{self.kernel}</kernel><initrd>{self.initrd}</initrd><cmdline>{line}</cmdline>"
        if self.uefi:
            return (
                f"<loader readonly='yes' type='pflash'>{FIRMWARE}/OVMF_CODE_4M.fd</loader>"
                f"<nvram template='{FIRMWARE}/OVMF_VARS_4M.fd'/>"
            )
        return "<boot dev='hd'/>"


_PORTS: Final = "".join(
    f"<controller type='pci' index='{index}' model='pcie-root-port'/>" for index in range(1, 13)
)
"""Ports for devices that are plugged in while the guest runs."""


def _entry(name: str, mode: int, content: bytes) -> bytes:
    """Return one file of a cpio archive in the form `newc`, which Linux unpacks as its initrd."""
    label = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(label), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + label
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
