"""`sealward gate install`, `gate remove` and `gate status`: libvirt's hook on a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sealward.cli.environment import settings
from sealward.cli.refusal import refusing

if TYPE_CHECKING:
    import argparse

RELOAD = """libvirt looks for hooks when it starts and at SIGHUP: `systemctl reload libvirtd`, or virtqemud.
Nothing is refused until a policy says so: PUT /v1/node/{node_id}/policy {"on_start": "refuse"}."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command with its verbs."""
    gate = commands.add_parser(
        "gate",
        help="have libvirt ask before a server starts",
        description="Have libvirt ask the agent before a server starts, or the node's ledger while no agent "
        "runs. Policies say which starts are refused.",
    )
    verbs = gate.add_subparsers(required=True, metavar="VERB")
    install = verbs.add_parser(
        "install",
        help="put libvirt's hook in place",
        description="Put libvirt's hook in place, for the agent with this SEALWARD_DATA_DIR and "
        "SEALWARD_GATE_SOCKET. Run it as root, and again after every upgrade of Sealward.",
    )
    remove = verbs.add_parser(
        "remove",
        help="take the hook away",
        description="Take the hook away. A hook that `gate install` has not written is left as it is.",
    )
    status = verbs.add_parser(
        "status",
        help="say whether the gate is active; status 1 when it is not",
        description="Say whether the hook is as it was installed: active, degraded with a reason, or absent. "
        "Say what the node's policy does about starts, and which starts the policy leaves open.",
    )
    for verb, run in ((install, _install), (remove, _remove), (status, _status)):
        verb.set_defaults(run=run)
        if verb is not status:
            verb.add_argument(
                "--hooks-dir",
                type=Path,
                default=Path("/etc/libvirt/hooks"),
                metavar="DIR",
                help="default: %(default)s",
            )
    install.add_argument(
        "--run-dir",
        type=Path,
        default=Path("/run/sealward-gate"),
        metavar="DIR",
        help="where the hook marks servers that are received or restored; root's; default: %(default)s",
    )


def _install(args: argparse.Namespace) -> int:
    from sealward.node import gate_socket
    from sealward.node_agent.gate import hook
    from sealward.node_agent.gate.guarded import PathRefused

    where = settings()
    with refusing(hook.HookRefused, PathRefused, OSError):
        installed = hook.install(args.hooks_dir, where.data_dir / "node", gate_socket(where), args.run_dir)
    print(f"installed: {installed}")
    print(RELOAD)
    return 0


def _remove(args: argparse.Namespace) -> int:
    from sealward.node_agent.gate import hook
    from sealward.node_agent.gate.guarded import PathRefused

    with refusing(hook.HookRefused, PathRefused, OSError):
        removed = hook.remove(args.hooks_dir, settings().data_dir / "node")
    print("removed" if removed else "there was none")
    return 0


def _say_policy(folder: Path, hooks: Path) -> None:
    """Print what the policy in the node's ledger does about starts, and which starts it leaves open."""
    from sealward.events.policy import leaves_open
    from sealward.node_agent.gate import hook
    from sealward.node_agent.gate.decision.dossier import LedgerUnreadable, read

    try:
        policy = read(str(folder), "").policy
    except LedgerUnreadable:
        print(f"policy: the node's ledger cannot be read; {hook.kept_policy(folder, hooks)}")
        return
    print(f"policy: on_start: {policy.on_start}, unsigned: {policy.unsigned}, firmware: {policy.firmware}")
    for one in leaves_open(policy):
        print(f"open: {one}")


def _status(args: argparse.Namespace) -> int:
    del args
    from sealward.events.enforcement import Gate
    from sealward.node_agent.gate import hook

    folder = settings().data_dir / "node"
    found = hook.standing(folder)
    print(found.gate if found.reason is None else f"{found.gate}: {found.reason}")
    _say_policy(folder, hook.HOOKS)
    return 0 if found.gate is Gate.ACTIVE else 1
