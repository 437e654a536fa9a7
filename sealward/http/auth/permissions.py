"""Every access rule of the API with the calls that it guards, and a sample of a file that overrides rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.http.app import described_calls
from sealward.http.auth.access import PERSONAS, Rule, check

if TYPE_CHECKING:
    from sealward.http.operation.operation import Operation

SAMPLE: Final = """\
# The access rules of Sealward: copy the rules that are to differ, without their #, into the file that
# SEALWARD_POLICY_FILE names. Rules that are not in that file stay as they are here. How rules are written:
# https://docs.openstack.org/oslo.policy/latest/admin/policy-yaml-file.html
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """An access rule, and the calls that it guards as (method, path)."""

    rule: Rule
    calls: tuple[tuple[str, str], ...]


def permissions() -> list[Permission]:
    """Return the access rules with their calls, in the order of the calls."""
    found: dict[Rule, list[tuple[str, str]]] = {}
    for call in described_calls():
        for rule in call.rules:
            found.setdefault(rule, []).append((call.method, _path(call, rule)))
    return [Permission(rule, tuple(needing)) for rule, needing in found.items()]


def sample() -> str:
    """Return a file for SEALWARD_POLICY_FILE that changes nothing: every default, as a comment."""
    lines = [SAMPLE]
    lines += [f'# Who has the role {role}.\n#"{role}": "{who}"\n' for role, who in PERSONAS.items()]
    for one in permissions():
        calls = "".join(f"# {method} {path}\n" for method, path in one.calls)
        lines.append(f'# {one.rule.description}\n{calls}#"{one.rule.name}": "{check(one.rule)}"\n')
    return "\n".join(lines)


def _path(call: Operation, rule: Rule) -> str:
    path = call.template if call.bare else f"/v1{call.template}"
    return path if rule == call.rule else f"{path}?{next(one.name for one in call.query if one.rule == rule)}"
