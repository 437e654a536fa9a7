"""`make secrets`: the files with secrets that compose.yaml names, made once, for its own servers.

The definitions hold RabbitMQ's users with hashes of their passwords (salted SHA-256:
https://www.rabbitmq.com/docs/passwords) and permissions, and a policy; Sealward makes its queues and
exchanges by itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from sealward.events.bus.permissions import LIMITS, Permissions, of_node, of_worker, user_of
from sealward.events.signing import keys
from sealward.events.store import roles
from sealward.protocol import joining

WORKER = "sealward-worker"
POLICY: Final = "sealward-nodes"
NODES_QUEUES: Final[dict[str, Any]] = {
    "pattern": r"^sealward\.node\.",
    "definition": {"queue-mode": "lazy"},
}
"""Messages that wait for a node are kept on disk: no memory of the broker, and a quarter less computing."""
BOUNDS: Final[dict[str, dict[str, Any]]] = {
    "sealward-inboxes": {
        "pattern": r"^sealward\.(reports|orders)$",
        "definition": {"max-length-bytes": 2**30, "overflow": "reject-publish"},
    },
    "sealward-dead-letters": {
        "pattern": r"^sealward\.dead-letters$",
        "definition": {"max-length-bytes": 2**28, "overflow": "drop-head"},
    },
}
"""The part of the broker's disk that queues filled by others may take."""
ROLES: Final = {
    "database-owner-password": ("sealward_owner", "owner-database-url"),
    "database-api-password": (roles.API, "api-database-url"),
    "database-worker-password": (roles.WORKER, "worker-database-url"),
}
"""Password file → the role in PostgreSQL, and the file with its URL. `migrate` alone is the owner."""
READABLE = 0o644
"""The mode of the files: a container's user is not their owner, so the folder keeps others out."""


def make(folder: Path, database: str, broker: str, hostname: str, *, lazy: bool = True) -> None:
    """Write those secrets that are missing.

    `database` and `broker` are URLs with `{user}` and `{password}` where they belong. `lazy` is for brokers
    before 3.12: later versions keep queues on the disk by themselves, and the policy means nothing to them.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("postgres-password", *ROLES, "worker-password", "node-password", "admin-token"):
        _write(folder / name, secrets.token_urlsafe(24))
    for name, (user, file) in ROLES.items():
        _write(folder / file, database.format(user=user, password=_read(folder / name)))
    node = user_of(hostname)
    worker_password, node_password = _read(folder / "worker-password"), _read(folder / "node-password")
    _write(folder / "worker-broker-url", broker.format(user=WORKER, password=worker_password))
    _write(folder / "node-broker-url", broker.format(user=node, password=node_password))
    users = [(WORKER, worker_password, of_worker()), (node, node_password, of_node(hostname))]
    _write(folder / "rabbitmq-definitions", json.dumps(_definitions(users, lazy=lazy), indent=2))
    for key in ("authority-key", "log-key"):
        keys.private_key(folder / key)
        (folder / key).chmod(READABLE)
    if not (folder / "node-join").exists():
        authority = keys.public_pem(keys.private_key(folder / "authority-key").public_key())
        secret = secrets.token_bytes(joining.SEED)
        joining.write(
            joining.Join(hostname=hostname, secret=secret, authority=authority), folder / "node-join"
        )
        (folder / "node-join").chmod(READABLE)


def _definitions(users: list[tuple[str, str, Permissions]], *, lazy: bool) -> dict[str, Any]:
    nodes = _policy(POLICY, NODES_QUEUES)
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": name,
                "password_hash": _hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
                "limits": LIMITS if name != WORKER else {},
            }
            for name, password, _ in users
        ],
        "permissions": [
            {"user": name, "vhost": "/", "configure": may.configure, "write": may.write, "read": may.read}
            for name, _, may in users
        ],
        "policies": ([nodes] if lazy else []) + [_policy(name, one) for name, one in BOUNDS.items()],
    }


def _policy(name: str, policy: dict[str, Any]) -> dict[str, Any]:
    return {"vhost": "/", "name": name, "apply-to": "queues", "priority": 0, **policy}


def _hash(password: str) -> str:
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _write(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(READABLE)


def main() -> int:
    """Write the secrets for compose.yaml into the folder that is named."""
    folder = Path(sys.argv[1])
    make(
        folder,
        "postgresql://{user}:{password}@postgres/sealward",
        "amqp://{user}:{password}@rabbitmq:5672/%2F",
        "agent-1",
        lazy=False,
    )
    print(f"secrets are in {folder}; the API's token: cat {folder}/admin-token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
