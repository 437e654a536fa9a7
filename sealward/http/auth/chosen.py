"""Which way to identify clients, and which access rules, the settings choose."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sealward.http.auth.access import DefaultRules
from sealward.http.auth.identity import LocalTokens
from sealward.settings import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealward.control.tokens import Tokens
    from sealward.http.auth.access import AccessRules
    from sealward.http.auth.identity import Identify
    from sealward.settings import Settings


@contextlib.contextmanager
def _extra(name: str, variable: str) -> Iterator[None]:
    """Raise SettingRefused, with the name of the extra to install, where a package is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        message = f"{variable} needs {missing.name}: pip install 'sealward[{name}]'"
        raise SettingRefused(message) from missing


def identify(settings: Settings, tokens: Tokens) -> Identify:
    """Return the check of tokens: by Keystone if the settings name it, else of local tokens.

    Raises SettingRefused where a package is missing.
    """
    if settings.keystone is None:
        return LocalTokens(tokens)
    with _extra("keystone", "SEALWARD_AUTH"):
        from sealward.http.auth.keystone import KeystoneTokens  # noqa: PLC0415 - local tokens need no OpenStack

    return KeystoneTokens(settings.keystone)


def access_rules(settings: Settings) -> AccessRules:
    """Return the access rules: of oslo.policy with Keystone or a policy file, else the default rules.

    Raises SettingRefused where a package is missing, and AccessRulesRefused.
    """
    if settings.keystone is None and settings.policy_file is None:
        return DefaultRules()
    with _extra("keystone", "SEALWARD_POLICY_FILE"):
        from sealward.http.auth.oslo import OsloRules  # noqa: PLC0415 - as above

    return OsloRules(settings.policy_file)
