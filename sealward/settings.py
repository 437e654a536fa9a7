"""The settings of a Sealward process: environment variables, read once, frozen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealward.characters import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PORT: Final = 65535
MAX_COUNT_DIGITS: Final = 5
BEAT: Final = 2.5
"""Seconds after which a node says at latest that it is there."""


class SettingRefused(ValueError):
    """A setting has a value that cannot be used."""

    code = "settings.refused"


@dataclass(frozen=True, slots=True)
class Keystone:
    """How tokens are checked by an OpenStack identity service, as the service user that may check them."""

    auth_url: str | None = None
    public_url: str | None = None
    """Where clients get their tokens, if that is not `auth_url`."""
    username: str = "sealward"
    password: str | None = field(default=None, repr=False)
    user_domain: str = "Default"
    project: str = "service"
    project_domain: str = "Default"
    region: str | None = None
    interface: str = "internal"
    ca: Path | None = None
    memcached: tuple[str, ...] = ()
    """HOST:PORT of the servers that remember checked tokens; none means that this process does."""
    cache_time: float = 0.0
    """Seconds for which a checked token passes unchecked, even if it is revoked; 0 checks each time."""
    config_file: Path | None = None
    """An INI file whose section [keystone_authtoken] takes the place of all the others."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Keystone:
        """Read SEALWARD_KEYSTONE_AUTH_URL and so on. Raises SettingRefused."""
        default = cls()

        def text(name: str) -> str | None:
            return env.get(f"SEALWARD_KEYSTONE_{name}") or None

        found = cls(
            auth_url=text("AUTH_URL"),
            public_url=text("PUBLIC_URL"),
            username=text("USERNAME") or default.username,
            password=secret(env, "SEALWARD_KEYSTONE_PASSWORD"),
            user_domain=text("USER_DOMAIN") or default.user_domain,
            project=text("PROJECT") or default.project,
            project_domain=text("PROJECT_DOMAIN") or default.project_domain,
            region=text("REGION"),
            interface=text("INTERFACE") or default.interface,
            ca=_path(text("CA")),
            memcached=tuple((text("MEMCACHED") or "").replace(",", " ").split()),
            cache_time=0.0
            if text("CACHE_TIME") == "0"
            else _seconds(env, "SEALWARD_KEYSTONE_CACHE_TIME", 0.0),
            config_file=_path(text("CONFIG_FILE")),
        )
        if found.config_file is None and (found.auth_url is None or found.password is None):
            message = "set SEALWARD_KEYSTONE_AUTH_URL and _PASSWORD (or _PASSWORD_FILE), or _CONFIG_FILE"
            raise SettingRefused(f"SEALWARD_AUTH=keystone: {message}")
        return found


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process that serves HTTP gives to one token at a time; an address has a multiple of it."""

    connections: int = 128
    """Of one address alone: a connection has no token."""
    streams: int = 6
    writes: int = 16
    """POST, PUT, DELETE: each may wait for its outcome."""
    past: int = 2
    """Questions with `at`."""
    refused: int = 30
    """Tokens that an address may guess in a minute."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Limits:
        """Read SEALWARD_LIMIT_CONNECTIONS and so on. Raises SettingRefused."""
        default = cls()
        return cls(
            connections=_count(env, "SEALWARD_LIMIT_CONNECTIONS", default.connections),
            streams=_count(env, "SEALWARD_LIMIT_STREAMS", default.streams),
            writes=_count(env, "SEALWARD_LIMIT_WRITES", default.writes),
            past=_count(env, "SEALWARD_LIMIT_PAST", default.past),
            refused=_count(env, "SEALWARD_LIMIT_REFUSED", default.refused),
        )


@dataclass(frozen=True, slots=True)
class Serving:
    """How HTTP is served: with TLS or without, to whom, behind which proxies, and how much at a time."""

    certificate: Path | None = None
    key: Path | None = None
    """PEM files; without them HTTP is served without TLS."""
    public_url: str | None = None
    """What links begin with; None means that links are relative."""
    proxies: tuple[Network, ...] = ()
    """Networks of the reverse proxies whose word on the client's address counts."""
    proxy_header: str = "x-forwarded-for"
    """The one header in which these proxies name the client; the other one is never read."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Serving:
        """Read SEALWARD_TLS_CERTIFICATE and so on. Raises SettingRefused."""
        found = cls(
            certificate=_path(env.get("SEALWARD_TLS_CERTIFICATE")),
            key=_path(env.get("SEALWARD_TLS_KEY")),
            public_url=_url(env, "SEALWARD_PUBLIC_URL"),
            proxies=_networks(env, "SEALWARD_TRUSTED_PROXIES"),
            proxy_header=_one_of(env, "SEALWARD_PROXY_HEADER", ("x-forwarded-for", "forwarded")),
            limits=Limits.from_env(env),
        )
        if (found.certificate is None) != (found.key is None):
            raise SettingRefused("SEALWARD_TLS_CERTIFICATE and SEALWARD_TLS_KEY: set both, or neither")
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set; durations are seconds, every default is fit for one machine."""

    listen: tuple[str, int] = ("127.0.0.1", 9362)
    """IP address and port; port 0 takes a free one."""
    data_dir: Path = Path("var")
    admin_token: str | None = field(default=None, repr=False)
    libvirt_uri: str | None = None
    """None means libvirt's `test` driver with the sample fleet."""
    libvirt_config_dir: Path = Path("/etc/libvirt/qemu")
    libvirt_run_dir: Path = Path("/run/libvirt/qemu")
    """Where the libvirt of a local `qemu:` URI keeps its domains' persistent and running forms."""
    registration: str = "invited"
    """Who may register over a broker: who is invited, or everybody at first sight (`open`)."""
    join_file: Path | None = None
    """This node's invitation, as `sealward node enroll` has written it; needed until the node is let in."""
    authority_key: Path | None = None
    """None means `authority.pem` in `data_dir`."""
    authority_beside: Path | None = None
    """Public keys (PEM) that may tell nodes something beside that key: the next one, or the one before."""
    authority_earlier: Path | None = None
    """Public keys (PEM) that may not any more, but whose references stay good."""
    authority_at_first_sight: bool = False
    """Whether an agent that has no key of the authority believes the first one that it hears."""
    database_url: str | None = field(default=None, repr=False)
    """A `postgresql://` URL; None means SQLite files in `data_dir`. It may hold a password."""
    broker_url: str | None = field(default=None, repr=False)
    """An `amqp://` or `amqps://` URL; None means a bus in the process. It may hold a password."""
    broker_ca: Path | None = None
    """The authorities that `amqps://` trusts, PEM; None means the system's."""
    broker_certificate: Path | None = None
    broker_key: Path | None = None
    """What this process shows to the broker, PEM; None means nothing but the URL's user."""
    keystone: Keystone | None = None
    """None means that tokens are Sealward's own."""
    policy_file: Path | None = None
    """Rules of oslo.policy that override the defaults."""
    sweep_interval: float = 60.0
    fresh_for: float = 900.0
    lease: float = 30.0
    wait: float = 5.0
    metrics: str = "public"
    """Who reads /metrics: everybody (`public`), or who has a token that may (`token`)."""
    serving: Serving = field(default_factory=Serving)
    log: str = "console"
    """For eyes (`console`) or for programs (`json`)."""
    log_level: str = "info"
    files: str = "auto"
    """Whether the agent measures files: yes, no, or auto, for all hypervisors but libvirt's test driver."""
    rehash_interval: float = 86400.0
    """How long the content of a file is believed while nothing tells of a change."""
    firmware_dirs: tuple[Path, ...] = ()
    """Folders with the node's firmware, which belongs to no server: it is to stay as it was first found."""
    libvirt_rw_uri: str | None = None
    """What servers are stopped through where a policy says so; None means `libvirt_uri`, not read-only."""
    gate_socket: Path | None = None
    """Where the agent answers the start gate; None means `node/gate.sock` in `data_dir`."""
    offline_for: float = 7 * 86400.0
    """How long the start gate relies on references that the control plane does not confirm."""

    @property
    def heartbeat(self) -> float:
        """Return the seconds between two heartbeats of a node: more than three fit into its lease."""
        return min(self.lease / 4, BEAT)

    @property
    def quiet_after(self) -> float:
        """Return the seconds after which a node is quiet, for three of its heartbeats were not heard.

        Less than ten, whatever the lease: time enough is left for whoever looks at it every other second.
        """
        return 3 * self.heartbeat

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read SEALWARD_LISTEN, SEALWARD_DATA_DIR and so on; an empty value means the default.

        Raises SettingRefused with the variable's name and what it takes.
        """
        _one_line_each(env)
        default = cls()
        return cls(
            listen=_address(env.get("SEALWARD_LISTEN")) or default.listen,
            data_dir=Path(env.get("SEALWARD_DATA_DIR") or default.data_dir),
            admin_token=secret(env, "SEALWARD_ADMIN_TOKEN"),
            libvirt_uri=env.get("SEALWARD_LIBVIRT_URI") or None,
            libvirt_config_dir=_path(env.get("SEALWARD_LIBVIRT_CONFIG_DIR")) or default.libvirt_config_dir,
            libvirt_run_dir=_path(env.get("SEALWARD_LIBVIRT_RUN_DIR")) or default.libvirt_run_dir,
            registration=_one_of(env, "SEALWARD_REGISTRATION", ("invited", "open")),
            join_file=_path(env.get("SEALWARD_JOIN_FILE")),
            authority_key=_path(env.get("SEALWARD_AUTHORITY_KEY")),
            authority_beside=_path(env.get("SEALWARD_AUTHORITY_BESIDE")),
            authority_earlier=_path(env.get("SEALWARD_AUTHORITY_EARLIER")),
            authority_at_first_sight=_one_of(env, "SEALWARD_AUTHORITY_AT_FIRST_SIGHT", ("no", "yes"))
            == "yes",
            database_url=secret(env, "SEALWARD_DATABASE_URL"),
            broker_url=secret(env, "SEALWARD_BROKER_URL"),
            broker_ca=_path(env.get("SEALWARD_BROKER_CA")),
            broker_certificate=_path(env.get("SEALWARD_BROKER_CERTIFICATE")),
            broker_key=_path(env.get("SEALWARD_BROKER_KEY")),
            keystone=_keystone(env),
            policy_file=_path(env.get("SEALWARD_POLICY_FILE")),
            sweep_interval=_seconds(env, "SEALWARD_SWEEP_INTERVAL", default.sweep_interval),
            fresh_for=_seconds(env, "SEALWARD_FRESH_FOR", default.fresh_for),
            lease=_seconds(env, "SEALWARD_LEASE", default.lease),
            wait=_seconds(env, "SEALWARD_WAIT", default.wait),
            metrics=_one_of(env, "SEALWARD_METRICS", ("public", "token")),
            serving=Serving.from_env(env),
            log=_one_of(env, "SEALWARD_LOG", ("console", "json")),
            log_level=_one_of(env, "SEALWARD_LOG_LEVEL", ("info", "debug", "warning", "error")),
            files=_one_of(env, "SEALWARD_FILES", ("auto", "yes", "no")),
            firmware_dirs=_paths(env.get("SEALWARD_FIRMWARE_DIRS")),
            libvirt_rw_uri=env.get("SEALWARD_LIBVIRT_RW_URI") or None,
            gate_socket=_path(env.get("SEALWARD_GATE_SOCKET")),
            offline_for=_seconds(env, "SEALWARD_OFFLINE_FOR", default.offline_for),
            rehash_interval=_seconds(env, "SEALWARD_REHASH_INTERVAL", default.rehash_interval),
        )


def _keystone(env: Mapping[str, str]) -> Keystone | None:
    auth = env.get("SEALWARD_AUTH") or "local"
    if auth not in ("local", "keystone"):
        raise SettingRefused(f"SEALWARD_AUTH={auth!r}: give local or keystone")
    return Keystone.from_env(env) if auth == "keystone" else None


def _one_line_each(env: Mapping[str, str]) -> None:
    """Refuse a value that a line of a log, a header or a URL could not hold. Raises SettingRefused."""
    for name, value in env.items():
        if name.startswith("SEALWARD_") and value != escaped(value):
            raise SettingRefused(f"{name} has control characters")


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


def _paths(value: str | None) -> tuple[Path, ...]:
    return tuple(Path(one) for one in (value or "").split(":") if one)


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


def _count(env: Mapping[str, str], name: str, default: int) -> int:
    """Return the number that a variable holds: 1 to 100000."""
    text = env.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MAX_COUNT_DIGITS or int(text) == 0:
        raise SettingRefused(f"{name}={text!r}: give a whole number from 1 to 99999")
    return int(text)


def _networks(env: Mapping[str, str], name: str) -> tuple[Network, ...]:
    """Return the networks that a variable lists, separated by commas or spaces; an address is one, too."""
    words = (env.get(name) or "").replace(",", " ").split()
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as refused:
        message = f"{name}: {refused}; give addresses or networks, as 192.0.2.7 or 2001:db8::/64"
        raise SettingRefused(message) from refused


def _url(env: Mapping[str, str], name: str) -> str | None:
    """Return the http or https URL that a variable holds, without a slash at its end."""
    text = env.get(name)
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingRefused(f"{name}={text!r}: give a URL, as https://sealward.example:9362")
    return text.rstrip("/")
