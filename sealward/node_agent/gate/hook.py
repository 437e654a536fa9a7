"""libvirt's hook for QEMU domains: put in place, taken away, and looked at.

Facts behind it (libvirt 9.0, observed): scripts in `qemu.d` run besides `qemu` itself, so nobody else's hook
is touched; libvirt finds them at its start and at SIGHUP. A hook that is gone or not executable is passed
over and the server starts: so the agent looks whether it still is what was installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import sealward
from sealward.events.enforcement import Gate
from sealward.node_agent.gate import client

HOOKS: Final = Path("/etc/libvirt/hooks")
INCOMING: Final = Path("/run/sealward-gate")
"""Where the hook marks which servers are received or restored. Root's own: it writes there as root."""
MARK: Final = "# The start gate of Sealward."
RECEIPT: Final = "gate.json"
SHIM: Final = """\
#!/bin/sh
{mark} `sealward gate install` wrote this and `sealward gate remove` takes it away.
# Do not edit it: the node's agent compares it with what was installed. Nothing may be printed on stdout.
case "$2 $3" in
"prepare begin") ;;
"migrate begin" | "restore begin")
    case "$1" in
    */* | .*) ;;
    *)
        [ -d {incoming} ] || mkdir -m 0700 {incoming} 2>/dev/null >&2
        {{ command : >{incoming}/"$1"; }} 2>/dev/null
        ;;
    esac
    if [ "$2" = migrate ] && [ -x {python} ]; then
        {python} -I -S -c {code} {place} --coming {socket} >/dev/null 2>&1
    fi
    exit 0
    ;;
*) exit 0 ;;
esac
exec >/dev/null
if [ ! -x {python} ] || [ ! -r {client} ]; then
    echo "Sealward's start gate is broken, {python_shown} or its client is gone: every server starts" >&2
    exit 0
fi
exec {python} -I -S -c {code} {place} {socket} {folder} {incoming} "$1" {paths}
"""


CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); import client; client.run(sys.argv[2:])"
"""What the hook runs, with the folder of the client: so Python keeps it compiled while it is the same."""


class HookRefused(Exception):
    """There is something else where the hook should be."""

    code = "gate.hook-refused"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was installed where; the agent compares with it. `client` is the digest of what the hook runs."""

    hook: str
    shim: str
    client: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the gate stands; `reason` is a stable code where it does not."""

    gate: Gate
    reason: str | None = None


def install(hooks: Path, folder: Path, socket: Path, incoming: Path = INCOMING) -> Path:
    """Put the hook in place for the agent whose ledger is in `folder`; return its path.

    Raises HookRefused rather than overwrite what is not ours, and OSError.
    """
    place = hooks / "qemu.d" / "sealward"
    if place.exists() and MARK not in place.read_text(errors="replace"):
        raise HookRefused(f"{place} is there, and is not Sealward's")
    text = shim(folder, socket, incoming)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = place.with_name(".sealward")  # libvirt runs no hidden files
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(place)
    receipt = Receipt(str(place), _digest(text.encode()), _digest(_client().read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECEIPT).write_text(json.dumps(asdict(receipt)))
    return place


def remove(hooks: Path, folder: Path) -> bool:
    """Take the hook away; say whether there was one. Raises HookRefused, OSError."""
    place = hooks / "qemu.d" / "sealward"
    (folder / RECEIPT).unlink(missing_ok=True)
    if not place.exists():
        return False
    if MARK not in place.read_text(errors="replace"):
        raise HookRefused(f"{place} is not Sealward's")
    place.unlink()
    return True


def folders(folder: Path) -> frozenset[Path]:
    """Return where the gate that was installed for a ledger lies; nothing where none was."""
    try:
        return frozenset((Path(_receipt(folder).hook).parent, _client().parent))
    except (OSError, ValueError, TypeError):
        return frozenset()


def standing(folder: Path) -> Standing:
    """Return whether the gate that was installed for a ledger still stands."""
    try:
        receipt = _receipt(folder)
    except FileNotFoundError:
        return Standing(Gate.ABSENT)
    except (OSError, ValueError, TypeError):
        return Standing(Gate.DEGRADED, "receipt-unreadable")
    reason = _flaw(Path(receipt.hook), receipt)
    return Standing(Gate.ACTIVE) if reason is None else Standing(Gate.DEGRADED, reason)


def shim(folder: Path, socket: Path, incoming: Path) -> str:
    """Return the text of the hook."""
    libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    package = Path(sealward.__path__[0]).resolve().parent
    return SHIM.format(
        mark=MARK,
        python=shlex.quote(sys.executable),
        python_shown=sys.executable.replace('"', "").replace("$", "").replace("`", "").replace("\\", ""),
        client=shlex.quote(str(_client())),
        code=shlex.quote(CODE),
        place=shlex.quote(str(_client().parent)),
        socket=shlex.quote(str(socket.resolve())),
        folder=shlex.quote(str(folder.resolve())),
        incoming=shlex.quote(str(incoming)),
        paths=" ".join(shlex.quote(one) for one in (str(package), *libraries)),
    )


def _receipt(folder: Path) -> Receipt:
    """Return what was installed. Raises OSError, ValueError, TypeError."""
    return Receipt(**json.loads((folder / RECEIPT).read_text()))


def _flaw(hook: Path, receipt: Receipt) -> str | None:  # noqa: PLR0911 - one return a flaw
    """Return what is wrong with a hook, as a stable code."""
    try:
        found = hook.stat()
        text = hook.read_bytes()
    except FileNotFoundError:
        return "hook-missing"
    except OSError:
        return "hook-unreadable"
    if not found.st_mode & stat.S_IXUSR:
        return "hook-not-executable"
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "hook-not-protected"
    if _digest(text) != receipt.shim:
        return "hook-changed"
    try:
        changed = _digest(_client().read_bytes()) != receipt.client
    except OSError:
        return "client-missing"
    return "client-changed" if changed else None


def _client() -> Path:
    return Path(client.__file__).resolve()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
