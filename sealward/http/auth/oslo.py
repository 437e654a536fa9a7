"""Access rules enforced by oslo.policy: the rules of the API as defaults, and a file that overrides rules."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import msgspec
from oslo_config import cfg
from oslo_policy import policy as oslo

from sealward.http.auth.access import PERSONAS, AccessRulesRefused, check
from sealward.http.auth.permissions import permissions

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.http.auth.access import Rule
    from sealward.http.auth.identity import Identity


NAMED: Final = re.compile(r"\brule:([^\s()\"']+)")
"""How a check names another rule."""
NOBODY: Final = "!"
"""The check that always fails. oslo.policy puts it in the place of a check that it cannot read."""


def defaults() -> list[oslo.RuleDefault]:
    """Return the roles and access rules as defaults of oslo.policy.

    This is also the entry point `oslo.policy.policies`, which oslo.policy's own tools read.
    """
    personas = [
        oslo.RuleDefault(role.value, who, f"Who has the role {role}.") for role, who in PERSONAS.items()
    ]
    return personas + [
        oslo.DocumentedRuleDefault(
            one.rule.name,
            check(one.rule),
            one.rule.description,
            [{"method": method, "path": path} for method, path in one.calls],
        )
        for one in permissions()
    ]


class OsloRules:
    """The access rules, checked by oslo.policy, which reads a changed file again.

    `file` overrides rules. Raises AccessRulesRefused where the file has an error.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        configuration = cfg.ConfigOpts()
        configuration([], project="sealward", default_config_files=[], default_config_dirs=[])
        self._enforcer = oslo.Enforcer(configuration, policy_file=str(file or os.devnull))
        configuration.set_override("policy_dirs", [], group="oslo_policy")
        self._enforcer.register_defaults(defaults())
        if file is not None:
            self._refuse_what_is_wrong(file)

    def may(self, who: Identity, rule: Rule) -> bool:
        """Return whether an access rule allows its calls to that user.

        While the file is missing, its last rules stay: oslo.policy would go back to the defaults, which may
        allow more than the file.
        """
        self._enforcer.use_conf = self._file is None or self._file.exists()
        credentials = {
            "roles": sorted(who.roles),
            "system_scope": "all" if who.everywhere else None,
            "user_id": who.origin.user_id if who.origin else None,
            "project_id": who.origin.project_id if who.origin else None,
        }
        return bool(self._enforcer.enforce(rule.name, {}, credentials))

    def _refuse_what_is_wrong(self, file: Path) -> None:
        """Raise AccessRulesRefused for errors that oslo.policy ignores: unknown rules, unreadable checks."""
        try:
            found = msgspec.yaml.decode(file.read_bytes(), type=dict[str, str] | None) or {}
            self._enforcer.load_rules()
            self._refuse_missing(file, found)
            self._enforcer.check_rules(raise_on_violation=True)
        except (OSError, UnicodeError, msgspec.MsgspecError, oslo.InvalidDefinitionError) as refused:
            raise AccessRulesRefused(f"{file}: {refused}") from refused
        for name, text in found.items():
            if name not in self._enforcer.registered_rules:
                raise AccessRulesRefused(
                    f"{file}: no rule is called {name}; `sealward policy sample` shows all"
                )
            if str(self._enforcer.rules[name]) == NOBODY != text.strip():
                raise AccessRulesRefused(f"{file}: {name}: {text!r} cannot be read")

    def _refuse_missing(self, file: Path, found: dict[str, str]) -> None:
        """Raise AccessRulesRefused for a rule that names a rule which is not there."""
        for name, text in found.items():
            for named in NAMED.findall(text):
                if named not in self._enforcer.rules:
                    raise AccessRulesRefused(
                        f"{file}: {name} names the rule {named}, which is not there; `sealward policy "
                        "sample` shows all rules"
                    )
