"""Access rules enforced by oslo.policy: the rules of the API as defaults, and a file that overrides rules."""

from __future__ import annotations

import logging
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


log = logging.getLogger(__name__)

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
    """The access rules, checked by oslo.policy.

    `file` overrides rules. Raises AccessRulesRefused if the file has an error. A changed file is read anew.
    While a changed file has an error or is missing, the rules before stay in force: oslo.policy would go back
    to the defaults, which may allow more, or fail at each call.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._stamp = _stamp(file)
        self._enforcer = _enforcer(file)

    def may(self, who: Identity, rule: Rule) -> bool:
        """Return whether an access rule allows its calls to that user."""
        self._follow()
        credentials = {
            "roles": sorted(who.roles),
            "system_scope": "all" if who.everywhere else None,
            "user_id": who.origin.user_id if who.origin else None,
            "project_id": who.origin.project_id if who.origin else None,
        }
        return bool(self._enforcer.enforce(rule.name, {}, credentials))

    def _follow(self) -> None:
        """Take over the rules of a file that has changed."""
        stamp = _stamp(self._file)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._enforcer = _enforcer(self._file)
        except AccessRulesRefused as refused:
            log.error("%s; the access rules of before stay in force", refused)  # noqa: TRY400 - no traceback


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Return what changes when a file changes; None for a file that is not there."""
    try:
        found = None if file is None else file.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def _enforcer(file: Path | None) -> oslo.Enforcer:
    """Return the rules of a file over the defaults. Raises AccessRulesRefused."""
    configuration = cfg.ConfigOpts()
    configuration([], project="sealward", default_config_files=[], default_config_dirs=[])
    enforcer = oslo.Enforcer(configuration, policy_file=str(file or os.devnull))
    configuration.set_override("policy_dirs", [], group="oslo_policy")
    enforcer.register_defaults(defaults())
    if file is not None:
        _refuse_what_is_wrong(enforcer, file)
    enforcer.load_rules()
    enforcer.use_conf = False
    return enforcer


def _refuse_what_is_wrong(enforcer: oslo.Enforcer, file: Path) -> None:
    """Raise AccessRulesRefused for errors that oslo.policy ignores: unknown rules, unreadable checks."""
    try:
        found = msgspec.yaml.decode(file.read_bytes(), type=dict[str, str] | None) or {}
        enforcer.load_rules()
        _refuse_missing(enforcer, file, found)
        enforcer.check_rules(raise_on_violation=True)
    except (OSError, UnicodeError, msgspec.MsgspecError, oslo.InvalidDefinitionError) as refused:
        raise AccessRulesRefused(f"{file}: {refused}") from refused
    for name, text in found.items():
        if name not in enforcer.registered_rules:
            raise AccessRulesRefused(f"{file}: no rule is called {name}; `sealward policy sample` shows all")
        if str(enforcer.rules[name]) == NOBODY != text.strip():
            raise AccessRulesRefused(f"{file}: {name}: {text!r} cannot be read")


def _refuse_missing(enforcer: oslo.Enforcer, file: Path, found: dict[str, str]) -> None:
    """Raise AccessRulesRefused for a rule that names a rule which is not there."""
    for name, text in found.items():
        for named in NAMED.findall(text):
            if named not in enforcer.rules:
                raise AccessRulesRefused(
                    f"{file}: {name} names the rule {named}, which is not there; `sealward policy sample` "
                    "shows all rules"
                )
