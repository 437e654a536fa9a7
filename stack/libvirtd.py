"""A private libvirtd: its own folders, host name and passwd, in mount and UTS namespaces; root only.

libvirt's folders are compiled in, so bind mounts in a namespace of its own are what moves them. Observed with
libvirt 9.0: the QEMU driver looks up the user `libvirt-qemu` before it reads qemu.conf; two nodes that
migrate need two host names and two host UUIDs; the first domain of an empty cache costs four seconds of
probing QEMU.

A libvirtd of another Debian runs in the same way from the root folder of that Debian (`ROOT`), which
scripts/debian-root.sh makes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack.processes import NotStarted, start, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS: Final = ("libvirtd", "qemu-system-x86_64", "qemu-img", "unshare")
FOLDERS: Final = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}
"""Folder of a private libvirtd → where libvirt looks for it."""
LIBVIRTD_CONF: Final = """host_uuid = "{host_uuid}"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:{log}"
"""
QEMU_CONF: Final = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
namespaces = []
cgroup_controllers = []
remote_display_port_min = {port}
remote_display_port_max = {last}
migration_port_min = {incoming}
migration_port_max = {last_incoming}
"""
CONSOLES: Final = range(20000, 32000, 20)
"""First ports of the consoles of a node's guests, away from those that systems give out by themselves.

Two daemons that look for a free port at the same moment would take the same port.
"""
INCOMING: Final = range(10000, 20000, 20)
"""First ports on which a node's QEMUs wait for guests that migrate to it."""
USERS: Final = {
    "passwd": ("libvirt-qemu:x:64055:64055:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin",),
    "group": ("libvirt-qemu:x:64055:", "kvm:x:64056:"),
}
PATIENCE: Final = 30.0
ROOT: Final = "SEALWARD_LIBVIRT_ROOT"
"""The environment variable that names the root folder of another Debian, whose libvirtd and QEMU are run."""
SYSTEM: Final = ("/proc", "/sys", "/dev")
"""Folders of the kernel, which a libvirtd in another root needs."""


def other_root() -> Path | None:
    """Return the root folder that the environment names; None for the libvirtd of this machine."""
    named = os.environ.get(ROOT)
    return Path(named) if named else None


def why_not() -> str | None:
    """Say what keeps this machine from running a private libvirtd; None when nothing does."""
    root = other_root()
    path = None if root is None else f"{root}/usr/sbin:{root}/usr/bin:{os.environ['PATH']}"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "only root may have a libvirtd of its own"
    line = ["unshare", "--mount", "--uts", "--propagation", "private", "hostname", "probe"]
    tried = subprocess.run(line, capture_output=True, timeout=PATIENCE, check=False)
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.decode().strip()}"


class Libvirtd:
    """A node without an agent. The folder's path must be short (sun_path: 107 bytes).

    `warm` is a folder with what an earlier daemon found out about QEMU. It is made if it is not there; two
    daemons may make it at the same time. With `root` the programs of that root folder run, and see the folder
    that has `folder` in it.
    """

    def __init__(
        self, folder: Path, hostname: str, warm: Path | None = None, root: Path | None = None
    ) -> None:
        self._root = root
        self.folder = folder
        self.hostname = hostname
        self._warm = warm
        self._output = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None
        self._namespaces: dict[str, int] = {}
        """By their names descriptors of them: while a namespace is open, no other gets its name."""
        for name in (*FOLDERS, "etc/hooks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if warm is not None and warm.exists():
            shutil.copytree(warm, folder / "cache", dirs_exist_ok=True)
        self._configure()

    @property
    def uri(self) -> str:
        """Return the URI of the socket that may everything."""
        return self._uri("libvirt-sock")

    @property
    def read_only_uri(self) -> str:
        """Return the URI of the socket that may look."""
        return self._uri("libvirt-sock-ro")

    @property
    def config_dir(self) -> Path:
        """Return where it keeps the persistent form of its domains."""
        return self.folder / "etc" / "qemu"

    @property
    def run_dir(self) -> Path:
        """Return where it keeps the running form of its domains."""
        return self.folder / "run" / "qemu"

    @property
    def hooks_dir(self) -> Path:
        """Return where it looks for hooks, when it starts and at SIGHUP."""
        return self.folder / "etc" / "hooks"

    @property
    def pid(self) -> int:
        """Return the process id. Raises NotStarted."""
        if self._process is None:
            raise NotStarted(f"{self.hostname} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it listens. Guests that were running are found again."""
        self._forget_sockets()
        script = "\n".join(("set -e", f"hostname {self.hostname}", *self._mounts(), self._command()))
        line = ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", script]
        self._process = start(line, self._output)
        wait_until(self._listens, self._process, self._output, PATIENCE)
        self._remember(Path("/proc", str(self.pid), "ns", "mnt"))

    def _mounts(self) -> Iterator[str]:
        """Yield the commands that lay this daemon's folders over those that libvirt looks into."""
        root = self._root or ""
        yield "mkdir -p " + " ".join(f"{root}{place}" for place in FOLDERS.values())
        for name, place in FOLDERS.items():
            yield f"mount --bind {self.folder / name} {root}{place}"
        for name in USERS:
            yield f"mount --bind {self.folder / name} {root}/etc/{name}"
        if root:
            seen = self.folder.parent
            yield f"mkdir -p {root}{seen}"
            yield f"mount --bind {seen} {root}{seen}"
            for place in SYSTEM:
                yield f"mount --rbind {place} {root}{place}"

    def _command(self) -> str:
        within = "" if self._root is None else f"chroot {self._root} "
        return f"exec {within}libvirtd -f /etc/libvirt/libvirtd.conf -p /run/libvirt/libvirtd.pid"

    def stop(self) -> None:
        """Stop the daemon alone, as an upgrade does: guests go on running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
            self._process = None

    def kill(self) -> None:
        """Pull the plug of the daemon; guests go on running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal: SIGSTOP hangs it, SIGCONT goes on, SIGHUP reads everything anew."""
        os.kill(self.pid, number)

    def resume(self) -> None:
        """Let a stopped daemon go on; a daemon that has ended is left alone."""
        if self._process is not None:
            self.signal(signal.SIGCONT)

    def end_hooks(self) -> None:
        """End the hooks that it waits for."""
        for pid in self._inside():
            if _parent(pid) == self.pid and not _program(pid).startswith("qemu"):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End the daemon and every process of its guests."""
        self._keep_warm()
        for pid in self._inside():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill()
        for descriptor in self._namespaces.values():
            os.close(descriptor)
        self._namespaces.clear()

    def _remember(self, namespace: Path) -> None:
        """Know a namespace of this daemon, in which guests may outlive it."""
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        name = str(namespace.readlink())
        if name in self._namespaces:
            os.close(descriptor)
        else:
            self._namespaces[name] = descriptor

    def _configure(self) -> None:
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, str(self.folder))
        conf = LIBVIRTD_CONF.format(host_uuid=host_uuid, log=self.folder / "log" / "libvirtd.log")
        (self.folder / "etc" / "libvirtd.conf").write_text(conf)
        port = CONSOLES[host_uuid.int % len(CONSOLES)]
        incoming = INCOMING[host_uuid.int % len(INCOMING)]
        qemu_conf = QEMU_CONF.format(
            port=port,
            last=port + CONSOLES.step - 1,
            incoming=incoming,
            last_incoming=incoming + INCOMING.step - 1,
        )
        (self.folder / "etc" / "qemu.conf").write_text(qemu_conf)
        for name, needed in USERS.items():
            known = Path(self._root or "/", "etc", name).read_text()
            missing = [line for line in needed if not _has(known, line)]
            (self.folder / name).write_text("\n".join((known.rstrip("\n"), *missing, "")))

    def _uri(self, socket: str) -> str:
        return f"qemu+unix:///system?socket={self.folder / 'run' / socket}"

    def _listens(self) -> bool:
        return all((self.folder / "run" / name).is_socket() for name in ("libvirt-sock", "libvirt-sock-ro"))

    def _forget_sockets(self) -> None:
        for name in ("libvirt-sock", "libvirt-sock-ro"):
            (self.folder / "run" / name).unlink(missing_ok=True)

    def _keep_warm(self) -> None:
        known = self.folder / "cache" / "qemu" / "capabilities"
        if self._warm is not None and not self._warm.exists() and known.is_dir() and any(known.iterdir()):
            made = self._warm.with_name(f"{self._warm.name}-{uuid.uuid4().hex}")
            shutil.copytree(self.folder / "cache", made)
            try:
                made.rename(self._warm)
            except OSError:  # another daemon was faster
                shutil.rmtree(made)

    def _inside(self) -> Iterator[int]:
        """Yield the process ids of all that lives in this one's namespaces: the daemon, guests, helpers."""
        for proc in Path("/proc").glob("[0-9]*"):
            if _mount_namespace(proc) in self._namespaces:
                yield int(proc.name)


def _mount_namespace(proc: Path) -> str:
    try:
        return str((proc / "ns" / "mnt").readlink())
    except OSError:
        return ""  # it has ended


def _parent(pid: int) -> int:
    """Return the parent's process id."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def _has(known: str, line: str) -> bool:
    name = line.partition(":")[0]
    return re.search(rf"^{name}:", known, re.MULTILINE) is not None
