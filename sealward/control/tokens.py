"""Locally issued API tokens: a name, a role, and the hash of a secret. The secret itself is not kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sealward.commands.errors import Rejected
from sealward.control.database import NameTaken
from sealward.control.role import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealward.control.database import ControlDatabase
    from sealward.events.store.round_trip import Prefetch


class TokenExists(Rejected):
    """A token of that name exists. Revoke it first, or choose another name."""

    code = "token.exists"


class NoSuchToken(Rejected):
    """There is no token of that name."""

    code = "token.not-found"


@dataclass(frozen=True, slots=True)
class Token:
    """An issued token; `name` is the user that the log will show."""

    name: str
    role: Role
    issued_at: datetime
    expires_at: datetime | None


class Tokens:
    """Issued tokens, and the bootstrap administrator's, which comes from the settings and is not stored."""

    def __init__(
        self, database: ControlDatabase, clock: Callable[[], datetime], bootstrap: str | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._bootstrap = None if bootstrap is None else _digest(bootstrap)

    def who(self, secret: str, prefetch: Prefetch | None = None) -> Token | None:
        """Return the valid token of a secret, or None; and answer `prefetch` with it if possible."""
        digest = _digest(secret)
        if self._bootstrap is not None and secrets.compare_digest(digest, self._bootstrap):
            return Token("admin", Role.ADMIN, self._clock(), None)
        row = self._database.find("token-by-digest", (digest,), prefetch)
        if row is None:
            return None
        token = _token(row)
        return token if token.expires_at is None or self._clock() < token.expires_at else None

    def issue(self, name: str, role: Role, expires_at: datetime | None = None) -> str:
        """Make a token and return its secret, which is shown this once. Raises TokenExists."""
        secret = f"sw-{secrets.token_urlsafe(32)}"
        expiry = None if expires_at is None else expires_at.isoformat()
        values = (name, _digest(secret), role.value, self._clock().isoformat(), expiry)
        try:
            self._database.run("issue", values)
        except NameTaken as taken:
            raise TokenExists from taken
        return secret

    def revoke(self, name: str) -> None:
        """Make a token worthless, at once. Raises NoSuchToken."""
        _, revoked = self._database.run("revoke", (name,))
        if not revoked:
            raise NoSuchToken

    def all(self) -> list[Token]:
        """Return the issued tokens by name."""
        rows, _ = self._database.run("tokens")
        return [_token(row) for row in rows]


def _digest(secret: str) -> str:
    """Return SHA-256 hex. The secrets are random, so a slow hash would add no protection."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: Sequence[str]) -> Token:
    name, role, issued_at, expires_at = row
    return Token(
        name,
        Role(role),
        datetime.fromisoformat(issued_at),
        datetime.fromisoformat(expires_at) if expires_at else None,
    )
