"""Who may do what: one table. What it does not name nobody may do."""

from __future__ import annotations

from typing import Final

from sealward.commands.tokens import Role

_EVERYONE: Final = frozenset(Role)
_ADMIN: Final = frozenset((Role.ADMIN,))

PUBLIC: Final = frozenset(("/", "/healthcheck"))
"""Paths that need no token."""

POLICY: Final[dict[tuple[str, str], frozenset[Role]]] = {
    ("GET", "/sign"): _EVERYONE,
    ("POST", "/sign"): _ADMIN,
    ("PUT", "/sign"): _ADMIN,
    ("GET", "/sign/{server_id}"): _EVERYONE,
    ("DELETE", "/sign/{server_id}"): _ADMIN,
    ("POST", "/sign/{server_id}/validate"): _ADMIN,
    ("GET", "/sign/{server_id}/verdict"): _EVERYONE,
    ("GET", "/sign/{server_id}/envelope"): _EVERYONE,
    ("GET", "/sign/{server_id}/events"): _EVERYONE,
    ("GET", "/sign/node/{node_id}/action"): _ADMIN,
    ("POST", "/sign/node/{node_id}/action"): _ADMIN,
    ("GET", "/events"): _EVERYONE,
    ("GET", "/schema"): _EVERYONE,
    ("GET", "/schema/{topic}"): _EVERYONE,
    ("GET", "/node"): _EVERYONE,
    ("GET", "/node/{node_id}"): _EVERYONE,
    ("GET", "/server"): _EVERYONE,
    ("GET", "/task/{task_id}"): _EVERYONE,
}
"""(method, path without /v1) → the roles that may."""


def methods(template: str) -> list[str]:
    """Return what can be done at all on a route."""
    return [method for method, known in POLICY if known == template]


def may(role: Role, method: str, template: str) -> bool:
    """Say whether a role may do that on a route."""
    return role in POLICY.get((method, template), frozenset())
