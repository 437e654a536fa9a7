"""The settings of a process."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.settings import kinds, names
from sealward.settings.contradictions import refuse_contradictions
from sealward.settings.declared import read, setting
from sealward.settings.keystone import Keystone
from sealward.settings.kinds import SettingRefused
from sealward.settings.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Mapping

BEAT: Final = 2.5
"""The longest time between two heartbeats of a node, in seconds."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process. Durations are in seconds. The defaults suit a single machine."""

    listen: tuple[str, int] = setting(
        "SEALWARD_LISTEN",
        kinds.address,
        ("127.0.0.1", 9362),
        "IP address and port; port 0 takes a free port",
        shown="`127.0.0.1:9362`",
    )
    data_dir: Path = setting(
        "SEALWARD_DATA_DIR", kinds.path, Path("var"), "the log, projections, keys and the node's ledger"
    )
    admin_token: str | None = setting(
        "SEALWARD_ADMIN_TOKEN",
        kinds.text,
        None,
        "the first administrator's token",
        shown="a random one, printed",
        secret=True,
    )
    libvirt_uri: str | None = setting(
        "SEALWARD_LIBVIRT_URI",
        kinds.libvirt_uri,
        None,
        "`qemu:///system`, `qemu+unix:///system?socket=…`, …",
        shown="the sample fleet",
    )
    libvirt_config_dir: Path = setting(
        "SEALWARD_LIBVIRT_CONFIG_DIR",
        kinds.path,
        Path("/etc/libvirt/qemu"),
        "where a local libvirt writes the persistent form of its domains; the agent watches this folder",
    )
    libvirt_run_dir: Path = setting(
        "SEALWARD_LIBVIRT_RUN_DIR",
        kinds.path,
        Path("/run/libvirt/qemu"),
        "where a local libvirt writes the running form of its domains; the agent watches this folder",
    )
    libvirt_save_dir: Path = setting(
        "SEALWARD_LIBVIRT_SAVE_DIR",
        kinds.path,
        Path("/var/lib/libvirt/qemu/save"),
        "where a local libvirt keeps the images of managed saves; the agent watches this folder, if it may",
    )
    libvirt_rw_uri: str | None = setting(
        "SEALWARD_LIBVIRT_RW_URI",
        kinds.libvirt_uri,
        None,
        "the connection that stops servers where a policy says so",
        shown="`SEALWARD_LIBVIRT_URI`, not read-only",
    )
    database_url: str | None = setting(
        "SEALWARD_DATABASE_URL",
        kinds.server_url("postgresql", "postgres", example="postgresql://USER:PASSWORD@HOST/DATABASE"),
        None,
        "a `postgresql://` URL; it may hold a password",
        shown="SQLite files",
        secret=True,
    )
    broker_url: str | None = setting(
        "SEALWARD_BROKER_URL",
        kinds.server_url("amqp", "amqps", example="amqps://USER:PASSWORD@HOST:5671/%2F"),
        None,
        "an `amqp://` or `amqps://` URL; it may hold a password",
        shown="a bus in the process",
        secret=True,
    )
    broker_ca: Path | None = setting(
        "SEALWARD_BROKER_CA",
        kinds.file,
        None,
        "the certificate authorities that `amqps://` trusts, PEM",
        shown="the system's",
    )
    broker_certificate: Path | None = setting(
        "SEALWARD_BROKER_CERTIFICATE",
        kinds.file,
        None,
        "the certificate that this process shows to the broker, PEM",
    )
    broker_key: Path | None = setting(
        "SEALWARD_BROKER_KEY", kinds.file, None, "the key of that certificate, PEM"
    )
    registration: str = setting(
        "SEALWARD_REGISTRATION",
        kinds.one_of("invited", "open"),
        "invited",
        "which hosts may become nodes over a broker: invited hosts, or every host at first sight "
        "(`open`); see docs/broker.md#who-becomes-a-node",
    )
    celery_clients: tuple[str, ...] = setting(
        "SEALWARD_CELERY_CLIENTS",
        kinds.words,
        (),
        "users of the broker that give orders as Celery clients, through inboxes of their own; see "
        "docs/broker.md#users",
    )
    join_file: Path | None = setting(
        "SEALWARD_JOIN_FILE",
        kinds.path,
        None,
        "on a node: the invitation that `node enroll` has written; needed until the node is let in",
        shown="",
    )
    authority_key: Path | None = setting(
        "SEALWARD_AUTHORITY_KEY",
        kinds.path,
        None,
        "the authority's private key, made when missing",
        shown="`authority.pem` in the data directory",
    )
    authority_beside: Path | None = setting(
        "SEALWARD_AUTHORITY_BESIDE",
        kinds.file,
        None,
        "a file with other public keys of the authority, PEM, that may tell nodes something beside that "
        "key; see docs/operations.md#rotate-keys-and-tokens",
    )
    authority_earlier: Path | None = setting(
        "SEALWARD_AUTHORITY_EARLIER",
        kinds.file,
        None,
        "a file with earlier public keys of the authority, PEM, that may tell nodes nothing any more, "
        "but whose references stay good",
    )
    authority_at_first_sight: bool = setting(
        "SEALWARD_AUTHORITY_AT_FIRST_SIGHT",
        kinds.yes_or_no,
        False,  # noqa: FBT003 - the default
        "agent: `yes` believes the first key that is heard, where none is pinned; see "
        "docs/broker.md#what-nodes-believe",
    )
    log_key: Path | None = setting(
        "SEALWARD_LOG_KEY",
        kinds.path,
        None,
        "the private key that signs the log's checkpoints, made when missing; with PostgreSQL the same key "
        "for each worker, and without it nothing is signed",
        shown="`log.pem` in the data directory; none with PostgreSQL",
    )
    webhook_networks: tuple[kinds.Network, ...] = setting(
        "SEALWARD_WEBHOOK_NETWORKS",
        kinds.networks,
        (),
        "networks that webhooks may send to beside public addresses, as `10.1.0.0/16,fd00::/8`",
        shown="none",
    )
    log_origin: str | None = setting(
        "SEALWARD_LOG_ORIGIN",
        kinds.text,
        None,
        "the name of the log in its checkpoints, as `sealward.example.com/log`",
        shown="`sealward/` and the key's id",
    )
    auth: str = setting(
        "SEALWARD_AUTH",
        kinds.one_of("local", "keystone"),
        "local",
        "`keystone` has OpenStack's Keystone check tokens; see docs/openstack.md",
    )
    policy_file: Path | None = setting(
        "SEALWARD_POLICY_FILE",
        kinds.file,
        None,
        "rules of oslo.policy that override permissions: `sealward policy sample`",
        shown="the defaults",
    )
    sweep_interval: float = setting(
        "SEALWARD_SWEEP_INTERVAL",
        kinds.seconds,
        60.0,
        "how often an activated node looks at all signed servers",
    )
    fresh_for: float = setting(
        "SEALWARD_FRESH_FOR", kinds.seconds, 900.0, 'how long a "true" lives without being vouched for again'
    )
    lease: float = setting(
        "SEALWARD_LEASE",
        kinds.seconds,
        30.0,
        "how long a node may be silent before it counts as lost; it says every 2.5 s that it is there, "
        "more often for a shorter lease",
    )
    wait: float = setting("SEALWARD_WAIT", kinds.seconds, 5.0, "how long POST and PUT wait for the seal")
    metrics: str = setting(
        "SEALWARD_METRICS",
        kinds.one_of("public", "token"),
        "public",
        "whether `/metrics` is for everybody, or for clients with a token (`token`); the names of nodes are "
        "for clients with a token only",
    )
    serving: Serving = field(default_factory=Serving)
    log: str = setting(
        "SEALWARD_LOG",
        kinds.one_of("console", "json"),
        "console",
        "lines for eyes, or with `json` for programs",
    )
    log_level: str = setting(
        "SEALWARD_LOG_LEVEL",
        kinds.one_of("info", "debug", "warning", "error"),
        "info",
        "`debug`, `info`, `warning` or `error`",
    )
    files: str = setting(
        "SEALWARD_FILES",
        kinds.one_of("auto", "yes", "no"),
        "auto",
        "whether the agent measures the servers' files: `yes`, `no`, or all but those of libvirt's test "
        "driver",
    )
    firmware_dirs: tuple[Path, ...] = setting(
        "SEALWARD_FIRMWARE_DIRS",
        kinds.paths,
        (),
        "folders with the node's firmware, as `/usr/share/OVMF:/usr/share/seabios`; their content must "
        "stay as it was first found",
    )
    rehash_interval: float = setting(
        "SEALWARD_REHASH_INTERVAL",
        kinds.seconds,
        86400.0,
        "how long a file's content is believed while nothing tells of a change",
    )
    gate_socket: Path | None = setting(
        "SEALWARD_GATE_SOCKET",
        kinds.socket_path,
        None,
        "where the agent answers the start gate",
        shown="`node/gate.sock` in the data directory",
    )
    offline_for: float = setting(
        "SEALWARD_OFFLINE_FOR",
        kinds.seconds,
        7 * 86400.0,
        "how long the start gate relies on references that the control plane does not confirm",
    )
    keystone: Keystone | None = None
    """None means that tokens are Sealward's own."""

    @property
    def heartbeat(self) -> float:
        """Return the seconds between two heartbeats of a node: more than three fit into its lease."""
        return min(self.lease / 4, BEAT)

    @property
    def quiet_after(self) -> float:
        """Return the seconds after which a node is quiet: the time of three heartbeats.

        Less than ten for any lease, so monitoring that asks every two seconds shows a quiet node within ten
        seconds.
        """
        return 3 * self.heartbeat

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read SEALWARD_LISTEN, SEALWARD_DATA_DIR and so on; an empty value means the default.

        Raises SettingRefused, which names the variable and what it takes, and never its value.
        """
        names.refuse_unknown(env, cls, Keystone)
        _one_line_each(env)
        found = read(cls, env)
        if found.auth == "keystone":
            found = dataclasses.replace(found, keystone=Keystone.from_env(env))
        refuse_contradictions(found, env)
        return found


def _one_line_each(env: Mapping[str, str]) -> None:
    """Refuse a value that a line of a log, a header or a URL could not hold. Raises SettingRefused."""
    for name, value in env.items():
        if not name.startswith("SEALWARD_"):
            continue
        if value != escaped(value):
            raise SettingRefused(f"{name} has control characters")
        if value != value.strip() or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
            raise SettingRefused(f"{name}: remove the spaces or quotation marks around the value")
