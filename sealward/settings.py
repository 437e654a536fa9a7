"""The settings of a Sealward process: environment variables, read once, frozen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PORT: Final = 65535


class SettingRefused(ValueError):
    """A setting has a value that cannot be used."""

    code = "settings.refused"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set; durations are seconds, every default is fit for one machine."""

    listen: tuple[str, int] = ("127.0.0.1", 9362)
    """IP address and port; port 0 takes a free one."""
    data_dir: Path = Path("var")
    admin_token: str | None = field(default=None, repr=False)
    libvirt_uri: str | None = None
    """None means libvirt's `test` driver with the sample fleet."""
    authority_key: Path | None = None
    """None means `authority.pem` in `data_dir`."""
    database_url: str | None = field(default=None, repr=False)
    """A `postgresql://` URL; None means SQLite files in `data_dir`. It may hold a password."""
    broker_url: str | None = field(default=None, repr=False)
    """An `amqp://` or `amqps://` URL; None means a bus in the process. It may hold a password."""
    broker_ca: Path | None = None
    """The authorities that `amqps://` trusts, PEM; None means the system's."""
    broker_certificate: Path | None = None
    broker_key: Path | None = None
    """What this process shows to the broker, PEM; None means nothing but the URL's user."""
    sweep_interval: float = 60.0
    fresh_for: float = 900.0
    lease: float = 30.0
    wait: float = 5.0
    metrics: str = "public"
    """Who reads /metrics: everybody (`public`), or who has a token that may (`token`)."""
    log: str = "console"
    """For eyes (`console`) or for programs (`json`)."""
    log_level: str = "info"
    files: str = "auto"
    """Whether the agent measures files: yes, no, or auto, for all hypervisors but libvirt's test driver."""
    rehash_interval: float = 86400.0
    """How long the content of a file is believed while nothing tells of a change."""
    firmware_dirs: tuple[Path, ...] = ()
    """Folders with the node's firmware, which belongs to no server: it is to stay as it was first found."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read SEALWARD_LISTEN, SEALWARD_DATA_DIR and so on; an empty value means the default.

        Raises SettingRefused with the variable's name and what it takes.
        """
        default = cls()
        return cls(
            listen=_address(env.get("SEALWARD_LISTEN")) or default.listen,
            data_dir=Path(env.get("SEALWARD_DATA_DIR") or default.data_dir),
            admin_token=secret(env, "SEALWARD_ADMIN_TOKEN"),
            libvirt_uri=env.get("SEALWARD_LIBVIRT_URI") or None,
            authority_key=_path(env.get("SEALWARD_AUTHORITY_KEY")),
            database_url=secret(env, "SEALWARD_DATABASE_URL"),
            broker_url=secret(env, "SEALWARD_BROKER_URL"),
            broker_ca=_path(env.get("SEALWARD_BROKER_CA")),
            broker_certificate=_path(env.get("SEALWARD_BROKER_CERTIFICATE")),
            broker_key=_path(env.get("SEALWARD_BROKER_KEY")),
            sweep_interval=_seconds(env, "SEALWARD_SWEEP_INTERVAL", default.sweep_interval),
            fresh_for=_seconds(env, "SEALWARD_FRESH_FOR", default.fresh_for),
            lease=_seconds(env, "SEALWARD_LEASE", default.lease),
            wait=_seconds(env, "SEALWARD_WAIT", default.wait),
            metrics=_one_of(env, "SEALWARD_METRICS", ("public", "token")),
            log=_one_of(env, "SEALWARD_LOG", ("console", "json")),
            log_level=_one_of(env, "SEALWARD_LOG_LEVEL", ("info", "debug", "warning", "error")),
            files=_one_of(env, "SEALWARD_FILES", ("auto", "yes", "no")),
            firmware_dirs=tuple(Path(one) for one in env.get("SEALWARD_FIRMWARE_DIRS", "").split(":") if one),
            rehash_interval=_seconds(env, "SEALWARD_REHASH_INTERVAL", default.rehash_interval),
        )


def _address(value: str | None) -> tuple[str, int] | None:
    """Return the address of "127.0.0.1:9362" or "[::1]:9362"."""
    if not value:
        return None
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = ""
    if not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise SettingRefused(f"SEALWARD_LISTEN={value!r}: give an IP address and a port, as 127.0.0.1:9362")
    return host, int(port)


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


def secret(env: Mapping[str, str], name: str) -> str | None:
    """Return a secret from NAME, or from the file that NAME_FILE names. Raises SettingRefused."""
    file = env.get(f"{name}_FILE")
    if not file:
        return env.get(name) or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeError) as unreadable:
        raise SettingRefused(f"{name}_FILE: {unreadable}") from unreadable


def _one_of(env: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    """Return which of a few words a variable holds; the first is the default."""
    word = env.get(name) or words[0]
    if word not in words:
        raise SettingRefused(f"{name}={word!r}: give one of {', '.join(words)}")
    return word


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    """Return the seconds that a variable holds: more than 0, at most a year."""
    text = env.get(name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 365 * 86400:
        raise SettingRefused(f"{name}={text!r}: give seconds, more than 0 and at most 31536000")
    return seconds
