"""What a node does about servers that are not as they were signed: policy per node, exceptions per server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class OnDoubt(StrEnum):
    """What the start gate does about an objection: record it alone, or refuse the start as well."""

    OBSERVE = "observe"
    REFUSE = "refuse"


class Unsigned(StrEnum):
    """Whether a server that nobody signed may start."""

    ALLOW = "allow"
    REFUSE = "refuse"


class OnViolation(StrEnum):
    """What becomes of a running server whose verdict is false."""

    OBSERVE = "observe"
    STOP = "stop"


class OnLoss(StrEnum):
    """What becomes of the signs on a node that is lost, when another node says that it runs their servers."""

    HOLD = "hold"
    """They stay until the node is heard again or an administrator moves them."""
    FOLLOW = "follow"
    """They go to the node that runs the server: whoever can speak as a node can draw them to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy of a node. Nothing is refused or stopped unless an administrator says so.

    `on_start` is about signed servers, `unsigned` about others, `firmware` about all when the node's own
    firmware files are not what they were. `grace` is how many seconds a server that is stopped gets to shut
    down before it is destroyed. `on_loss` is about the signs on the node when it is lost.
    """

    on_start: OnDoubt = OnDoubt.OBSERVE
    unsigned: Unsigned = Unsigned.ALLOW
    on_violation: OnViolation = OnViolation.OBSERVE
    grace: float = 60.0
    firmware: OnDoubt = OnDoubt.OBSERVE
    on_loss: OnLoss = OnLoss.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPolicy:
    """What is different for one server; None is as its node has it."""

    on_start: OnDoubt | None = None
    on_violation: OnViolation | None = None
    grace: float | None = None


UNSIGNED_STARTS: Final = (
    "Servers that nobody signed may start, also with copies of a signed server's disks under another UUID "
    "and name. Refuse them with unsigned: refuse."
)
"""What `unsigned: allow` leaves open."""
FIRMWARE_STARTS: Final = (
    "Servers may start while the node's firmware files are not what was accepted. "
    "Refuse that with firmware: refuse."
)
"""What `firmware: observe` leaves open."""


def leaves_open(policy: Policy) -> tuple[str, ...]:
    """Return what a policy that refuses starts lets start all the same; nothing for one that refuses none."""
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
