"""Access rules: which roles may make which call of the API.

Each call names its own rule where the call is described (`operation.Operation`). A rule is plain data, so
that local tokens can be checked without oslo.policy. For Keystone, and for a file of SEALWARD_POLICY_FILE
that overrides rules, `oslo` makes the defaults of oslo.policy out of the same rules.
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
"""The check of oslo.policy that says which users of Keystone have a role.

In Keystone every member of every project has the role `reader` in that project. The servers of Sealward are
those of the whole fleet, so only users with the role `reader` on the whole system count as readers. Keystone
gives the other roles to no user implicitly.
"""

CHANGES: Final = frozenset((Role.ADMIN, Role.SECURITY_OFFICER))
"""Roles that may sign servers and switch nodes."""
PROOF: Final = CHANGES | {Role.AUDITOR}
"""Roles that may read the log, the past and the envelopes."""
GOVERNS: Final = frozenset((Role.ADMIN,))
"""Roles that may admit and remove nodes, and set the policies of nodes and servers."""
LOOKS: Final = PROOF | {Role.READER}
"""Roles that may read the present state."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An access rule: its name, a sentence about the calls that it allows, and its default roles."""

    name: str
    description: str
    roles: frozenset[Role]


class AccessRulesRefused(SealwardError, ValueError):
    """The file of SEALWARD_POLICY_FILE cannot be used."""

    code = "policy.refused"


class AccessRules(Protocol):
    """Says which user may make which call."""

    def may(self, who: Identity, rule: Rule) -> bool:
        """Return whether an access rule allows its calls to that user."""


class DefaultRules:
    """The access rules with their default roles, for users with local tokens."""

    def may(self, who: Identity, rule: Rule) -> bool:
        """Return whether a role of the user is among the roles of the rule.

        A `reader` of one project does not count.
        """
        return any(role in who.roles and (who.everywhere or role is not Role.READER) for role in rule.roles)


def check(rule: Rule) -> str:
    """Return the check of oslo.policy that a rule has by default."""
    return " or ".join(f"rule:{role}" for role in Role if role in rule.roles)
