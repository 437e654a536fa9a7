"""libvirt's hook for QEMU domains: installs the hook, removes it, and checks that it is unchanged.

Facts behind it (libvirt 9.0, observed): libvirt runs the scripts in `qemu.d` besides the script `qemu`, so
hooks of other software stay as they are. libvirt looks for new hooks when it starts and at SIGHUP. libvirt
ignores a hook that is missing or not executable, and starts the server: so the agent checks the hook.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sealward.error import SealwardError
from sealward.events.enforcement import Gate
from sealward.node_agent.files.protected import is_guarded
from sealward.node_agent.gate import client, code, fallback, guarded, posted

HOOKS: Final = Path("/etc/libvirt/hooks")
INCOMING: Final = Path("/run/sealward-gate")
"""The folder in which the hook marks servers that libvirt receives or restores.

The hook writes there as root, so the folder is root's.
"""
MARK: Final = "# The start gate of Sealward."
NAME: Final = "sealward"
KEPT: Final = "sealward.policy"
"""Root's copy of the posted policy that the hook read last. It is kept beside the hook."""
RECEIPT: Final = "gate.json"
CPU_TIME: Final = 2
"""Seconds of CPU time for the hook's Python: the client decides within `client.PATIENCE`."""
SHIM: Final = """\
#!/bin/sh
{mark} `sealward gate install` wrote this and `sealward gate remove` takes it away.
# Do not edit it: the node's agent compares it with what was installed. Nothing may be printed on stdout.
case "$1" in
"" | */* | . | ..) record=/nonexistent ;;
*) record={incoming}/read/"$1" ;;
esac
case "$2 $3" in
"prepare begin")
    [ ! -e "$record" ] || rm -f "$record" >/dev/null 2>&1
    ;;
"started begin")
    [ -f "$record" ] || exit 0
    policy= id=
    read -r policy id <"$record" 2>/dev/null
    policy=${{policy:-refuse}}
    exec >/dev/null
    (
        ulimit -t {cpu} 2>/dev/null
        exec {python} -I -S -c {code} {place} --started {socket} {folder} {incoming} "$1" {paths}
    )
    case $? in
    0) exit 0 ;;
    3) exit 1 ;;
    esac
    reason=file-replaced
    ;;
"migrate begin" | "restore begin")
    if [ "$record" != /nonexistent ]; then
        [ -d {incoming} ] || mkdir -m 0700 {incoming} 2>/dev/null >&2
        [ -d {incoming}/coming ] || mkdir -m 0700 {incoming}/coming 2>/dev/null >&2
        {{ command : >{incoming}/coming/"$1"; }} 2>/dev/null
    fi
    if [ "$2" = migrate ] && [ -x {python} ]; then
        (
            ulimit -t {cpu}
            exec {python} -I -S -c {code} {place} --coming {socket}
        ) >/dev/null 2>&1
    fi
    exit 0
    ;;
*) exit 0 ;;
esac
exec >/dev/null
said=
if [ "$2" = prepare ]; then
    id=
    line='
'
    if [ -x {python} ] && [ -r {client} ]; then
        said=$(
            ulimit -t {cpu} 2>/dev/null
            exec {python} -I -S -c {code} {place} {socket} {folder} {incoming} "$1" {paths} 2>&1
        )
        status=$?
        # The first line names the server: nobody can read XML again that Python has read.
        case $said in
        "server "*)
            id=${{said#server }} id=${{id%%"$line"*}}
            said=${{said#"server $id"}} said=${{said#"$line"}}
            ;;
        esac
        case $status in
        0 | 3) [ -z "$said" ] || echo "$said" >&2 ;;
        esac
        case $status in
        0) exit 0 ;;
        3) exit 1 ;;
        esac
        said=${{said##*"$line"}}
    fi
    # Python or a part of what it runs is gone, or was killed: the posted policy decides.
    reason=gate-failed policy= unsigned= known= any= posted={policy} header=
    {{ read -r header; }} 2>/dev/null <{policy}
    [ "$header" = {header} ] || posted={kept} reason=ledger-unreadable
    if [ -z "$id" ]; then
        xml=$(timeout 2 head -c 65536 2>/dev/null)
        case $xml in
        *"<uuid>"*) id=${{xml#*<uuid>}} id=${{id%%</uuid>*}} ;;
        esac
    fi
    case $id in
    *[!0-9a-f-]*) id= ;;
    esac
    {{
        read -r header
        [ "$header" != {header} ] || while read -r key start more; do
            case $key in
            node) policy=$start unsigned=$more ;;
            "$id") policy=$start known=yes ;;
            esac
            [ "$start" != refuse ] || any=refuse
        done
    }} 2>/dev/null <"$posted"
    # What was killed may have read the XML: it may be any server.
    [ -n "$id" ] || policy=${{any:-$policy}}
    if [ -n "$policy" ] && [ -n "$id" ] && [ -z "$known" ]; then
        [ "$unsigned" = refuse ] || exit 0
        policy=refuse reason=unanswered
    fi
fi
refused=false
[ "$policy" != refuse ] || refused=true
case $1 in
*[!A-Za-z0-9._-]*) who= ;;
*) who=$1 ;;
esac
leave() {{
    set -- * && [ $# -lt {full} ] || exit 1
    read -r key </proc/sys/kernel/random/uuid && moment=$(date -u "+%s%N %Y-%m-%dT%H:%M:%S+00:00") || exit 1
    IFS=- && set -- $key && key=$1$2$3$4$5
    name=0${{moment%% *}}-$key
    quoted=null
    [ -z "$id" ] || quoted="\\"$id\\""
    umask 022 && set -C
    {{
        printf '{{"kind":"objection","id":"%s","server_id":%s,' "$key" "$quoted" &&
            printf '"instance_name":"%s","decided_at":"%s",' "$who" "${{moment#* }}" &&
            printf '"reason":"%s","refused":%s,"findings":[]}}' "$reason" "$refused"
    }} >".$name" && mv ".$name" "$name.json" || {{
        rm -f ".$name"
        exit 1
    }}
}}
recorded=
(
    cd -P {folder}/spool && [ "$(pwd -P)" = {folder}/spool ] && leave
) >/dev/null 2>&1 || (
    [ -d {incoming} ] || mkdir -m 0700 {incoming}
    [ -d {incoming}/unsaid ] || mkdir -m 0700 {incoming}/unsaid
    cd {incoming}/unsaid && leave
) >/dev/null 2>&1 || recorded=". It could not be recorded"
reason="$reason)${{said:+: $said}}$recorded"
if [ "$refused" = true ]; then
    echo "Sealward does not let it start: its start gate is broken or was interrupted ($reason" >&2
    exit 1
fi
echo "Sealward's start gate is broken or was interrupted ($reason; by the policy the server starts" >&2
exit 0
"""
"""The hook, a shell script.

The kernel ends a Python that takes more CPU time than the client ever needs: without memory, Python 3.11 can
unwind to the same exception handler for ever, where no handler of a signal runs (observed with `ulimit -v`).
Exit statuses 0 and 3 are ALLOW and REFUSE of `gate.client`; `gate.posted` defines the lines of the policy.
"""


CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); import client; client.run(sys.argv[2:])"
"""The Python code that the hook runs, given the folder of the client.

The client is imported, so that Python keeps it compiled.
"""


class HookRefused(SealwardError):
    """The file at the hook's path is not Sealward's."""

    code = "gate.hook-refused"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of an installation.

    `hook` is the path of the hook, `shim` the digest of its text, `client` the digest of the code that it
    runs. The agent compares these with the hook and the code that it finds.
    """

    hook: str
    shim: str
    client: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the gate stands. `reason` is a stable code where it does not."""

    gate: Gate
    reason: str | None = None


def install(hooks: Path, folder: Path, socket: Path, incoming: Path = INCOMING) -> Path:
    """Install the hook for the agent whose ledger is in `folder`; return the hook's path.

    libvirt runs the hook as root, and the hook runs Sealward: so no user but root and the caller may be able
    to change either. The receipt is written as the owner of `folder`. Raises HookRefused where another file
    has the hook's name, PathRefused where another user could change the installed files, and OSError.
    """
    code.compiled()
    if (open_to_others := code.unprotected({0, os.geteuid()})) is not None:
        raise guarded.PathRefused(f"{open_to_others}: others can change it, and libvirt would run it as root")
    guarded.enter(incoming if incoming.exists() else incoming.parent).close()
    text = shim(folder, socket, incoming, hooks / KEPT).encode()
    path = hooks / "qemu.d" / NAME
    receipt = json.dumps(asdict(Receipt(str(path), _digest(text), code.digest()))).encode()
    with guarded.enter(path.parent, make=0o755) as hooks_folder:
        _check_ours(hooks_folder)
        guarded.as_owner(folder, lambda own: own.write(RECEIPT, receipt, 0o600), make=0o700)
        hooks_folder.write(NAME, text, 0o755)
    with guarded.enter(hooks):
        fallback.Posted(str(folder), str(hooks / KEPT)).keep()
    return path


def remove(hooks: Path, folder: Path) -> bool:
    """Remove the hook; return whether there was a hook. Raises HookRefused, PathRefused, OSError."""
    guarded.as_owner(folder, lambda own: own.remove(RECEIPT))
    try:
        hooks_folder = guarded.enter(hooks / "qemu.d")
    except FileNotFoundError:
        return False
    with hooks_folder:
        found = _check_ours(hooks_folder)
        hooks_folder.remove(NAME)
    with guarded.enter(hooks) as above:
        above.remove(KEPT)
    return found


def _check_ours(hooks_folder: guarded.Guarded) -> bool:
    """Return whether there is a hook. Raises HookRefused for another file, PathRefused for a link."""
    found = hooks_folder.read(NAME)
    if found is not None and MARK.encode() not in found:
        raise HookRefused(f"{hooks_folder.path / NAME} is there, and is not Sealward's")
    return found is not None


def folders(folder: Path) -> frozenset[Path]:
    """Return the folders of the hook and of its code, for the gate that was installed for a ledger.

    Returns none where no gate was installed.
    """
    try:
        return frozenset((Path(_receipt(folder).hook).parent, *code.folders()))
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


def kept_policy(folder: Path, hooks: Path) -> str:
    """Return a text that names the policy for starts while a ledger cannot be read."""
    kept = hooks / KEPT
    if not fallback.Posted(str(folder), str(kept)).is_kept:
        return "the policy posted beside it decides which servers do not start"
    if kept.exists():  # root's alone to read
        return f"root's copy of the policy, {kept}, decides which servers do not start"
    return "nothing is refused without it"


def shim(folder: Path, socket: Path, incoming: Path, kept: Path) -> str:
    """Return the text of the hook."""
    return SHIM.format(
        mark=MARK,
        python=shlex.quote(sys.executable),
        client=shlex.quote(str(code.CLIENT)),
        cpu=CPU_TIME,
        full=fallback.FULL,
        header=shlex.quote(posted.HEADER),
        policy=shlex.quote(str(folder.resolve() / posted.NAME)),
        code=shlex.quote(CODE),
        place=shlex.quote(str(code.CLIENT.parent)),
        socket=shlex.quote(str(socket.resolve())),
        folder=shlex.quote(str(folder.resolve())),
        incoming=shlex.quote(str(incoming)),
        kept=shlex.quote(str(kept.resolve())),
        paths=" ".join(map(shlex.quote, (f"{client.KEPT}{kept.resolve()}", *code.libraries()))),
    )


def _receipt(folder: Path) -> Receipt:
    """Return the receipt beside a ledger. Raises OSError, ValueError, TypeError."""
    return Receipt(**json.loads(guarded.content(folder / RECEIPT)))


def _flaw(hook: Path, receipt: Receipt) -> str | None:  # noqa: PLR0911 - one return a flaw
    """Return a stable code for the flaw of a hook; None for a hook without a flaw."""
    try:
        found = hook.lstat()
        text = guarded.content(hook)
    except FileNotFoundError:
        return "hook-missing"
    except OSError:
        return "hook-unreadable"
    if not found.st_mode & stat.S_IXUSR:
        return "hook-not-executable"
    if not _is_protected(hook, found):
        return "hook-not-protected"
    if _digest(text) != receipt.shim:
        return "hook-changed"
    try:
        if code.unprotected({0, found.st_uid}) is not None:
            return "client-not-protected"
        changed = code.digest() != receipt.client
    except OSError:
        return "client-missing"
    return "client-changed" if changed else None


def _is_protected(hook: Path, found: os.stat_result) -> bool:
    """Return whether only root and this user can change or replace a hook. Raises OSError."""
    owners = {0, os.geteuid()}
    folder, *above = [one.stat() for one in hook.parents]
    return (
        is_guarded(found, owners, sticky=False)
        and is_guarded(folder, owners, sticky=False)
        and all(is_guarded(one, owners) for one in above)
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
