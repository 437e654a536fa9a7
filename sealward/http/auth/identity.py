"""The identity of a user, which comes from a checked token and never from what a client claims in headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import falcon

    from sealward.control.tokens import Tokens
    from sealward.events.base import Origin
    from sealward.events.store.round_trip import Prefetch

MAX_TOKEN: Final = 4096

CLAIMS: Final = (
    "HTTP_X_IDENTITY_STATUS",
    "HTTP_X_SERVICE_",
    "HTTP_X_USER",
    "HTTP_X_TENANT",
    "HTTP_X_PROJECT_",
    "HTTP_X_DOMAIN_",
    "HTTP_X_ROLE",
    "HTTP_X_IS_ADMIN_PROJECT",
    "HTTP_X_FORWARDED_USER",
    "HTTP_X_REMOTE_USER",
    "HTTP_OPENSTACK_SYSTEM_SCOPE",
)
"""Beginnings of the WSGI names of the headers in which OpenStack services and proxies pass an identity on."""
_MAYBE: Final = ("HTTP_X_", "HTTP_O")
"""Beginnings that all of CLAIMS have: a fast first test, which most headers do not pass."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user with roles, which hold on the whole fleet (`everywhere`) or in one project of the cloud."""

    name: str
    roles: frozenset[str]
    everywhere: bool
    origin: Origin | None = None
    """The ids of the user and the project in Keystone; None for local tokens."""


class Identify(Protocol):
    """Checks tokens.

    `challenge` is the header WWW-Authenticate of a 401; `advice` says how to get a token.
    """

    challenge: str
    advice: str

    def who(self, req: falcon.Request, prefetch: Prefetch | None = None) -> Identity | None:
        """Return the user whose token the request has, or None for an invalid token.

        `prefetch` is a query that may be sent to the database together with the query for the token. Raises
        Problem 503 where the token cannot be checked now.
        """


class NoClaims:
    """Removes from every request the headers in which a client could claim an identity."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remove the headers, before anything reads them."""
        del resp
        strip(req.env)


def strip(env: dict[str, Any]) -> None:
    """Remove the identity headers from a WSGI environment. X-Auth-Token stays: tokens are checked."""
    for name in [one for one in env if one.startswith(_MAYBE) and one.startswith(CLAIMS)]:
        del env[name]


class Bearer:
    """Accepts a token in `Authorization: Bearer` (RFC 6750) under /log, too, where other tools read."""

    paths = ("/v1/log", "/log")

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Copy the token to X-Auth-Token, where every token is looked for."""
        del resp
        scheme, _, token = (req.auth or "").partition(" ")
        if scheme.lower() == "bearer" and req.path.startswith(self.paths):
            req.env.setdefault("HTTP_X_AUTH_TOKEN", token.strip())


class LocalTokens:
    """Checks local tokens, which Sealward itself has issued."""

    challenge = 'X-Auth-Token realm="sealward"'
    advice = "`sealward token issue` makes one"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def who(self, req: falcon.Request, prefetch: Prefetch | None = None) -> Identity | None:
        """Return the user whose token the request has.

        Each request looks it up: a revoked token never passes.
        """
        secret = req.get_header("X-Auth-Token")
        token = self._tokens.who(secret, prefetch) if secret and len(secret) <= MAX_TOKEN else None
        return None if token is None else Identity(token.name, frozenset((token.role,)), everywhere=True)
