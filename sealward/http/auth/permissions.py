"""Every permission of the API with the calls that need it, and the policy file that holds the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.http.app import calls
from sealward.http.auth.policy import PERSONAS, Rule, check

if TYPE_CHECKING:
    from sealward.http.operation.operation import Operation

SAMPLE: Final = """\
# The policy of Sealward: copy the rules that are to differ, without their #, into the file that
# SEALWARD_POLICY_FILE names. What that file leaves out stays as it is here. How rules are written:
# https://docs.openstack.org/oslo.policy/latest/admin/policy-yaml-file.html
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """A rule, and the calls that need it as (method, path)."""

    rule: Rule
    calls: tuple[tuple[str, str], ...]


def permissions() -> list[Permission]:
    """Return the permissions in the order of the calls that need them."""
    found: dict[Rule, list[tuple[str, str]]] = {}
    for call in calls():
        for rule in call.rules:
            found.setdefault(rule, []).append((call.method, _path(call, rule)))
    return [Permission(rule, tuple(needing)) for rule, needing in found.items()]


def sample() -> str:
    """Return a policy file that changes nothing: every rule, in comments."""
    lines = [SAMPLE]
    lines += [f'# Who has the role {role}.\n#"{role}": "{who}"\n' for role, who in PERSONAS.items()]
    for one in permissions():
        calls = "".join(f"# {method} {path}\n" for method, path in one.calls)
        lines.append(f'# {one.rule.description}\n{calls}#"{one.rule.name}": "{check(one.rule)}"\n')
    return "\n".join(lines)


def _path(call: Operation, rule: Rule) -> str:
    path = call.template if call.bare else f"/v1{call.template}"
    return path if rule == call.rule else f"{path}?{next(one.name for one in call.query if one.rule == rule)}"
