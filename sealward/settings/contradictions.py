"""Settings that contradict each other: each alone may be right, both together do not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.settings.settings import Settings

KEYSTONE: Final = "SEALWARD_KEYSTONE_"
BESIDE_A_FILE: Final = frozenset({"SEALWARD_KEYSTONE_CONFIG_FILE", "SEALWARD_KEYSTONE_PUBLIC_URL"})
"""The settings of Keystone that count when an INI file has the others."""


def refuse_contradictions(found: Settings, env: Mapping[str, str]) -> None:
    """Check settings that were read from an environment. Raises SettingRefused for the first."""
    for is_so, why in (
        (
            found.fresh_for <= found.sweep_interval,
            "SEALWARD_FRESH_FOR must be longer than SEALWARD_SWEEP_INTERVAL: verdicts end between two sweeps",
        ),
        (
            (found.broker_certificate is None) != (found.broker_key is None),
            "SEALWARD_BROKER_CERTIFICATE and SEALWARD_BROKER_KEY: set both, or neither",
        ),
        (
            _has_tls_files(found) and not (found.broker_url or "amqps:").startswith("amqps:"),
            "SEALWARD_BROKER_CA, _CERTIFICATE and _KEY are for TLS: SEALWARD_BROKER_URL must begin with amqps://",
        ),
        (
            found.libvirt_rw_uri is not None and found.libvirt_uri is None,
            "SEALWARD_LIBVIRT_RW_URI: set SEALWARD_LIBVIRT_URI, too; without it the agent watches a sample",
        ),
        (
            not env.get("SEALWARD_AUTH") and any(name.startswith(KEYSTONE) and env[name] for name in env),
            "SEALWARD_KEYSTONE_…: set SEALWARD_AUTH=keystone; without it tokens are Sealward's own",
        ),
        (
            found.keystone is not None and found.keystone.config_file is not None and _is_ignored(env),
            "SEALWARD_KEYSTONE_CONFIG_FILE takes the place of the other SEALWARD_KEYSTONE_…: unset them",
        ),
    ):
        if is_so:
            raise SettingRefused(why)


def _has_tls_files(found: Settings) -> bool:
    return any((found.broker_ca, found.broker_certificate, found.broker_key))


def _is_ignored(env: Mapping[str, str]) -> bool:
    """Say whether a setting of Keystone has no effect, because an INI file takes its place."""
    return any(name.startswith(KEYSTONE) and name not in BESIDE_A_FILE and env[name] for name in env)
