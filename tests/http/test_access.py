"""One list of rules for all: the local table, oslo.policy, and the file that overrides rules."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from programs import sealward
from running import WEB, Running, running

from sealward.control.role import Role
from sealward.control_plane import Core
from sealward.http.auth.access import PERSONAS, AccessRulesRefused, DefaultRules, Rule, check
from sealward.http.auth.identity import Identity
from sealward.http.auth.oslo import OsloRules, defaults
from sealward.http.auth.permissions import permissions, sample
from sealward.settings import SettingRefused, Settings

SAMPLE = Path(__file__).parent.parent.parent / "docs" / "policy.yaml.sample"
RULES = [one.rule for one in permissions()]
CREATE = next(rule for rule in RULES if rule.name == "sign:create")


def someone(*roles: str, everywhere: bool = True) -> Identity:
    """Return a user with roles."""
    return Identity("u", frozenset(roles), everywhere)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_table_and_oslo_policy_agree(rule: Rule) -> None:
    """Every role alone, everywhere or in a project, none, and all together."""
    oslo = OsloRules()
    alone = [[str(role)] for role in Role]
    for roles in [[], ["member"], [str(role) for role in Role], *alone]:
        for everywhere in (True, False):
            who = someone(*roles, everywhere=everywhere)

            assert DefaultRules().may(who, rule) == oslo.may(who, rule)


def test_every_rule_says_what_it_is_for() -> None:
    """Names are unique; each has a description and the calls that it is asked for."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.description and Role.ADMIN in rule.roles for rule in RULES)


def test_the_sample_in_docs_is_the_one_that_is_printed(tmp_path: Path) -> None:
    """`sealward policy sample` writes it."""
    assert sealward(tmp_path, "policy", "sample").stdout == SAMPLE.read_text(encoding="utf-8") == sample()


def test_the_sample_holds_the_defaults() -> None:
    """Without its comment signs it changes nothing."""
    uncommented = yaml.safe_load(re.sub(r'^#"', '"', sample(), flags=re.MULTILINE))

    assert uncommented == {role.value: who for role, who in PERSONAS.items()} | {
        rule.name: check(rule) for rule in RULES
    }
    assert yaml.safe_load(sample()) is None


def test_stock_tools_find_the_rules() -> None:
    """The generator of oslo.policy lists them by the entry point."""
    done = subprocess.run(  # noqa: S603 - a program of this environment
        [str(Path(sys.executable).parent / "oslopolicy-sample-generator"), "--namespace", "sealward"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert all(f'#"{one.name}": "{one.check_str}"' in done.stdout for one in defaults())


def test_a_file_overrides_what_it_names(tmp_path: Path) -> None:
    """Also for local tokens; what it leaves out stays, and a change counts at once."""
    file = tmp_path / "policy.yaml"
    file.write_text('"sign:create": "role:admin"\n')
    with running(tmp_path / "data", settings=Settings(policy_file=file)) as one:
        officer: dict[str, str | None] = {"X-Auth-Token": one.token_of(Role.SECURITY_OFFICER)}
        before = signed(one, officer)
        file.write_text('"sign:create": "rule:security-officer"\n')

        assert (before, signed(one, officer)) == (403, 201)
        assert one.ask("PUT", "/v1/sign", {"server_id": WEB}, headers=officer).status == 200


def signed(one: Running, headers: dict[str, str | None]) -> int:
    """Sign a server and return the status."""
    return one.ask("POST", "/v1/sign", {"server_id": WEB}, headers=headers).status


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"sign:crate": "role:admin"', "no rule is called sign:crate"),
        ('"sign:create": "rule:nobody"', "policy.yaml: sign:create names the rule nobody"),
        ('"sign:create": "role:x or (not rule:nobody)"', "policy.yaml: sign:create names the rule nobody"),
        ('"sign:create": "rule:sign:create"', "sign:create"),
        ("[", "policy.yaml"),
        ("- a list", "policy.yaml"),
        ('"sign:create": 7', "policy.yaml"),
        (None, "No such file"),
        ('"sign:create": "role:admin or"', "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_start(tmp_path: Path, text: str | None, message: str) -> None:
    """A typing error must not leave a door open, or nobody in."""
    file = tmp_path / "policy.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(AccessRulesRefused, match=message):
        OsloRules(file)
    done = sealward(tmp_path, "run", SEALWARD_POLICY_FILE=str(file))
    named = "SEALWARD_POLICY_FILE" if text is None else str(file)
    assert (done.returncode, f"sealward: {named}" in done.stderr) == (2, True)


def test_a_file_that_disappears_keeps_its_rules(tmp_path: Path) -> None:
    """Removed, or while an editor replaces it: the defaults may allow more than the file did."""
    file = tmp_path / "policy.yaml"
    file.write_text('"sign:create": "role:nobody"\n')
    rules = OsloRules(file)
    before = rules.may(someone("admin"), CREATE)
    file.unlink()
    gone = rules.may(someone("admin"), CREATE)
    file.write_text('"sign:create": "role:admin"\n')
    later = time.time() + 5
    os.utime(file, (later, later))
    back = rules.may(someone("admin"), CREATE)

    assert (before, gone, back) == (False, False, True)


@pytest.mark.parametrize(
    "text", ["[", "- a list", '"sign:create": 7', '"sign:create": "rule:x"', '"sign:crate": "!"']
)
def test_a_file_that_becomes_wrong_keeps_its_rules(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While an administrator edits it, say: the log says once what is wrong, and no call fails."""
    file = tmp_path / "policy.yaml"
    file.write_text('"sign:create": "role:nobody"\n')
    rules = OsloRules(file)
    file.write_text(text)
    wrong = [rules.may(someone("admin"), CREATE) for _ in range(3)]
    errors = [one.getMessage() for one in caplog.records if one.name == "sealward.http.auth.oslo"]
    file.write_text('"sign:create": "role:admin"\n')

    assert wrong == [False] * 3
    assert rules.may(someone("admin"), CREATE)
    (error,) = errors
    assert error.startswith(f"{file}: ")
    assert error.endswith("; the access rules of before stay in force")


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that asks for it, and how to get it."""
    monkeypatch.delitem(sys.modules, "sealward.http.auth.oslo")
    monkeypatch.setitem(sys.modules, "oslo_policy", None)

    message = r"SEALWARD_POLICY_FILE needs oslo_policy: .*sealward\[keystone\]"
    settings = Settings(data_dir=tmp_path, policy_file=SAMPLE)
    with contextlib.closing(Core(settings)) as core, pytest.raises(SettingRefused, match=message):
        _ = core.app
