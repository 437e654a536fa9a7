"""Who may do what: one list of rules. What it does not name nobody may do.

The rules are plain data, so that local tokens need no policy engine; `oslo_policy` makes oslo.policy's
defaults of the same list, for Keystone and for whoever overrides rules in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealward.control.role import Role

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealward.http.identity import Identity

PUBLIC: Final = frozenset(
    ("/", "/v1", "/healthcheck", "/healthcheck/live", "/healthcheck/ready", "/openapi.json")
)
"""Paths that need no token."""
GUARDED: Final = {"/healthcheck": "detailed", "/metrics": "detailed"}
"""Those of them that need one with that parameter."""

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

SAMPLE: Final = """\
# The policy of Sealward: copy the rules that are to differ, without their #, into the file that
# SEALWARD_POLICY_FILE names. What that file leaves out stays as it is here. How rules are written:
# https://docs.openstack.org/oslo.policy/latest/admin/policy-yaml-file.html
"""

_CHANGES: Final = frozenset((Role.ADMIN, Role.SECURITY_OFFICER))
_PROOF: Final = _CHANGES | {Role.AUDITOR}
_GOVERNS: Final = frozenset((Role.ADMIN,))
_LOOKS: Final = _PROOF | {Role.READER}


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission: its name, what it is for, and who has it by default.

    `operations` are (method, path without /v1).
    """

    name: str
    description: str
    roles: frozenset[Role]
    operations: tuple[tuple[str, str], ...]


_SIGN: Final = "/sign/{server_id}"

PAST: Final = Rule(
    "sign:past",
    "Show what was known of signs at a time in the past.",
    _PROOF,
    tuple(
        ("GET", f"{path}?at={{time}}") for path in ("/sign", _SIGN, f"{_SIGN}/verdict", f"{_SIGN}/envelope")
    ),
)
"""Asked for on top of the rule of the route."""

RULES: Final = (
    Rule("sign:list", "List the signs.", _LOOKS, (("GET", "/sign"),)),
    Rule("sign:show", "Show a sign.", _LOOKS, (("GET", _SIGN),)),
    Rule("sign:create", "Sign a server.", _CHANGES, (("POST", "/sign"),)),
    Rule("sign:update", "Sign a server anew: make a new reference.", _CHANGES, (("PUT", "/sign"),)),
    Rule(
        "sign:update-in-doubt",
        "Sign anew all servers that a libvirt upgrade has left in doubt.",
        _CHANGES,
        (("POST", "/sign/in-doubt"),),
    ),
    Rule("sign:delete", "Take a server off control.", _CHANGES, (("DELETE", _SIGN),)),
    Rule("sign:validate", "Have a server measured now.", _CHANGES, (("POST", f"{_SIGN}/validate"),)),
    Rule(
        "sign:move",
        "Move a sign to another node: its own node does not run the server.",
        _GOVERNS,
        (("POST", f"{_SIGN}/move"),),
    ),
    Rule("sign:verdict", "Show a verdict with reasons and findings.", _LOOKS, (("GET", f"{_SIGN}/verdict"),)),
    Rule("sign:envelope", "Show the reference in force.", _PROOF, (("GET", f"{_SIGN}/envelope"),)),
    Rule("sign:history", "Show who did what to a server.", _PROOF, (("GET", f"{_SIGN}/events"),)),
    PAST,
    Rule(
        "node:action",
        "Switch validation of a node on or off.",
        _CHANGES,
        (("GET", "/sign/node/{node_id}/action"), ("POST", "/sign/node/{node_id}/action")),
    ),
    Rule("node:list", "List the nodes.", _LOOKS, (("GET", "/node"),)),
    Rule("node:show", "Show a node.", _LOOKS, (("GET", "/node/{node_id}"),)),
    Rule(
        "node:accept-firmware",
        "Accept the firmware files that a node found.",
        _CHANGES,
        (("PUT", "/node/{node_id}/firmware"),),
    ),
    Rule("node:create", "Let a node in under a key of its own.", _GOVERNS, (("POST", "/node"),)),
    Rule("node:delete", "Take a node away.", _GOVERNS, (("DELETE", "/node/{node_id}"),)),
    Rule(
        "node:replace-key",
        "Have another key count as a node's own.",
        _GOVERNS,
        (("PUT", "/node/{node_id}/key"),),
    ),
    Rule("node:policy", "Show the policy of a node.", _LOOKS, (("GET", "/node/{node_id}/policy"),)),
    Rule("node:set-policy", "Set the policy of a node.", _GOVERNS, (("PUT", "/node/{node_id}/policy"),)),
    Rule("sign:policy", "Show the policy of a server.", _LOOKS, (("GET", f"{_SIGN}/policy"),)),
    Rule(
        "sign:set-policy",
        "Have a server treated otherwise than its node's policy says, or no longer.",
        _GOVERNS,
        (("PUT", f"{_SIGN}/policy"), ("DELETE", f"{_SIGN}/policy")),
    ),
    Rule("server:list", "List the inventory of servers.", _LOOKS, (("GET", "/server"),)),
    Rule("task:show", "Show a task.", _LOOKS, (("GET", "/task/{task_id}"),)),
    Rule("event:list", "Read the log, as pages or as a stream.", _PROOF, (("GET", "/events"),)),
    Rule("health:detailed", "See in detail how the service is.", _PROOF, (("GET", "/healthcheck"),)),
    Rule("metrics:show", "Read the metrics with the nodes' names.", _LOOKS, (("GET", "/metrics"),)),
    Rule("schema:list", "List the schemas of the events.", _LOOKS, (("GET", "/schema"),)),
    Rule("schema:show", "Show the schema of an event.", _LOOKS, (("GET", "/schema/{topic}"),)),
)

POLICY: Final = {operation: rule for rule in RULES if rule is not PAST for operation in rule.operations}
"""(method, path without /v1) → the rule that is asked."""


class PolicyRefused(ValueError):
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


def is_public(path: str, parameters: Collection[str], public: Collection[str]) -> bool:
    """Say whether a request needs no token, given the paths that are public."""
    return path in public and GUARDED.get(path) not in {name.removeprefix("$") for name in parameters}


def rules(method: str, template: str, parameters: Collection[str]) -> list[Rule]:
    """Return the rules that a request must all pass."""
    asked = POLICY[method, template]
    past = any(name.removeprefix("$") == "at" for name in parameters)
    return [asked, PAST] if past and (method, f"{template}?at={{time}}") in PAST.operations else [asked]


def check(rule: Rule) -> str:
    """Return who has a permission by default, as oslo.policy writes it."""
    return " or ".join(f"rule:{role}" for role in Role if role in rule.roles)


def sample() -> str:
    """Return a policy file that changes nothing: every rule, in comments."""
    lines = [SAMPLE]
    lines += [f'# Who has the role {role}.\n#"{role}": "{who}"\n' for role, who in PERSONAS.items()]
    for rule in RULES:
        calls = "".join(f"# {method} /v1{path}\n" for method, path in rule.operations)
        lines.append(f'# {rule.description}\n{calls}#"{rule.name}": "{check(rule)}"\n')
    return "\n".join(lines)
