"""Node policies: what a node does about servers that are not as they were signed; exceptions per server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sealward.events.late import late


class OnDoubt(StrEnum):
    """How the start gate answers an objection: it only records it, or also refuses the start."""

    OBSERVE = "observe"
    REFUSE = "refuse"


class Unsigned(StrEnum):
    """Whether an unsigned server may start."""

    ALLOW = "allow"
    REFUSE = "refuse"


class OnViolation(StrEnum):
    """A node's reaction to a running server whose verdict is false."""

    OBSERVE = "observe"
    STOP = "stop"


class OnLoss(StrEnum):
    """Where the signs of a lost node go when another node reports that it runs their servers."""

    HOLD = "hold"
    """They stay until the node is heard again or an administrator moves them."""
    FOLLOW = "follow"
    """The signs go to the reporting node. An attacker who has a node's key can draw them to that node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy of a node. Nothing is refused or stopped unless an administrator says so.

    `on_start` is about signed servers, `unsigned` about unsigned servers. `firmware` is about all servers
    while the node's own firmware files are not as accepted. `grace` is how many seconds a server gets to shut
    down before it is destroyed. `on_loss` is about the signs on the node when the node is lost.
    """

    on_start: OnDoubt = OnDoubt.OBSERVE
    unsigned: Unsigned = Unsigned.ALLOW
    on_violation: OnViolation = OnViolation.OBSERVE
    grace: float = 60.0
    firmware: OnDoubt = OnDoubt.OBSERVE
    on_loss: OnLoss = late(OnLoss.HOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPolicy:
    """The exceptions of a server from its node's policy. None means as in the node's policy."""

    on_start: OnDoubt | None = None
    on_violation: OnViolation | None = None
    grace: float | None = None


UNSIGNED_STARTS: Final = (
    "Servers that nobody signed may start, also with copies of a signed server's disks under another UUID "
    "and name. Refuse them with unsigned: refuse."
)
"""The gap that `unsigned: allow` leaves."""
FIRMWARE_STARTS: Final = (
    "Servers may start while the node's firmware files are not what was accepted. "
    "Refuse that with firmware: refuse."
)
"""The gap that `firmware: observe` leaves."""


def leaves_open(policy: Policy) -> tuple[str, ...]:
    """Return the gaps of a policy that refuses starts: servers that may start all the same.

    A policy that refuses no start has no gaps.
    """
    if policy.on_start is not OnDoubt.REFUSE:
        return ()
    unsigned = (UNSIGNED_STARTS,) if policy.unsigned is Unsigned.ALLOW else ()
    return unsigned + ((FIRMWARE_STARTS,) if policy.firmware is OnDoubt.OBSERVE else ())


DEFAULT: Final = Policy()
AS_NODE: Final = ServerPolicy()


def effective(of_node: Policy, of_server: ServerPolicy) -> Policy:
    """Return the policy that holds for a server."""
    own = {name: getattr(of_server, name) for name in ("on_start", "on_violation", "grace")}
    return replace(of_node, **{name: value for name, value in own.items() if value is not None})
