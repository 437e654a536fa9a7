"""Permissions of the API: types, roles and defaults. Each call names its own permission.

Rules are plain data, so that local tokens need no policy engine. `oslo` makes oslo.policy's defaults of the
same rules, for Keystone and for a policy file that overrides rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealward.control.role import Role
from sealward.error import SealwardError

if TYPE_CHECKING:
    from sealward.http.auth.identity import Identity

PERSONAS: Final = {
    Role.ADMIN: "role:admin",
    Role.SECURITY_OFFICER: "role:security-officer",
    Role.AUDITOR: "role:auditor",
    Role.READER: "role:reader and system_scope:all",
}
"""Who has a role, as oslo.policy writes it.

In Keystone every member of every project is a `reader` there, too; servers are the whole fleet's, so only
readers of the whole system count. The other roles are given to nobody by themselves.
"""

CHANGES: Final = frozenset((Role.ADMIN, Role.SECURITY_OFFICER))
PROOF: Final = CHANGES | {Role.AUDITOR}
GOVERNS: Final = frozenset((Role.ADMIN,))
LOOKS: Final = PROOF | {Role.READER}


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission: its name, what it is for, and which roles have it by default."""

    name: str
    description: str
    roles: frozenset[Role]


class PolicyRefused(SealwardError, ValueError):
    """A policy file cannot be used."""

    code = "policy.refused"


class Policy(Protocol):
    """Says who may do what."""

    def may(self, who: Identity, rule: Rule) -> bool:
        """Say whether somebody has a permission."""


class Defaults:
    """The rules as they stand above, for roles that local tokens have."""

    def may(self, who: Identity, rule: Rule) -> bool:
        """Say whether one of the roles has the permission."""
        return any(role in who.roles and (who.everywhere or role is not Role.READER) for role in rule.roles)


def check(rule: Rule) -> str:
    """Return who has a permission by default, as oslo.policy writes it."""
    return " or ".join(f"rule:{role}" for role in Role if role in rule.roles)
