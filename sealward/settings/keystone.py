"""Settings of the OpenStack identity service that checks tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealward.settings import kinds
from sealward.settings.declared import read, setting
from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keystone:
    """The identity service, and the service user that asks it about tokens."""

    auth_url: str | None = setting(
        "SEALWARD_KEYSTONE_AUTH_URL",
        kinds.url,
        None,
        "Keystone's URL, as `https://keystone.example:5000/v3`",
        shown="",
    )
    public_url: str | None = setting(
        "SEALWARD_KEYSTONE_PUBLIC_URL",
        kinds.url,
        None,
        "where clients get tokens; a 401 names it in `WWW-Authenticate`",
        shown="that URL",
    )
    username: str = setting(
        "SEALWARD_KEYSTONE_USERNAME",
        kinds.text,
        "sealward",
        "the service user, which needs the role `service`",
    )
    password: str | None = setting(
        "SEALWARD_KEYSTONE_PASSWORD", kinds.text, None, "the service user's password", shown="", secret=True
    )
    user_domain: str = setting(
        "SEALWARD_KEYSTONE_USER_DOMAIN", kinds.text, "Default", "the service user's domain, by name"
    )
    project: str = setting(
        "SEALWARD_KEYSTONE_PROJECT", kinds.text, "service", "the project where the service user has its role"
    )
    project_domain: str = setting(
        "SEALWARD_KEYSTONE_PROJECT_DOMAIN", kinds.text, "Default", "the domain of that project, by name"
    )
    region: str | None = setting(
        "SEALWARD_KEYSTONE_REGION", kinds.text, None, "the region of Keystone's endpoint", shown="any"
    )
    interface: str = setting(
        "SEALWARD_KEYSTONE_INTERFACE",
        kinds.one_of("internal", "public", "admin"),
        "internal",
        "the interface of Keystone's endpoint: `internal`, `public` or `admin`",
    )
    ca: Path | None = setting(
        "SEALWARD_KEYSTONE_CA",
        kinds.file,
        None,
        "the certificate authorities to trust, PEM",
        shown="the system's",
    )
    cache_time: float = setting(
        "SEALWARD_KEYSTONE_CACHE_TIME",
        kinds.seconds_or_none,
        0.0,
        "seconds for which a checked token passes without being checked again, even if it is revoked",
    )
    memcached: tuple[str, ...] = setting(
        "SEALWARD_KEYSTONE_MEMCACHED",
        kinds.words,
        (),
        "`HOST:PORT,…` of memcached servers that remember checked tokens (needs `python-memcached`)",
        shown="this process",
    )
    config_file: Path | None = setting(
        "SEALWARD_KEYSTONE_CONFIG_FILE",
        kinds.file,
        None,
        "an INI file whose `[keystone_authtoken]` takes the place of all the others",
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Keystone:
        """Read SEALWARD_KEYSTONE_AUTH_URL and so on. Raises SettingRefused."""
        found = read(cls, env)
        if found.config_file is None and (found.auth_url is None or found.password is None):
            message = "set SEALWARD_KEYSTONE_AUTH_URL and _PASSWORD (or _PASSWORD_FILE), or _CONFIG_FILE"
            raise SettingRefused(f"SEALWARD_AUTH=keystone: {message}")
        return found
