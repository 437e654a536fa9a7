"""Who asks: what a checked token says, and nothing that a client says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import falcon

    from sealward.control.tokens import Tokens
    from sealward.events.base import Origin
    from sealward.events.store.round_trip import Along

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
"""How the WSGI names of headers begin in which OpenStack services and proxies pass an identity on."""
_MAYBE: Final = ("HTTP_X_", "HTTP_O")
"""How all of them begin: most names are told apart by that."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user with roles, on the whole fleet (`everywhere`) or in a project of the cloud only."""

    name: str
    roles: frozenset[str]
    everywhere: bool
    origin: Origin | None = None
    """Their ids, where an identity service knows them."""


class Identify(Protocol):
    """Checks tokens. `challenge` is the WWW-Authenticate of a 401, `advice` how to get a good token."""

    challenge: str
    advice: str

    def who(self, req: falcon.Request, along: Along | None = None) -> Identity | None:
        """Return whose token the request has; None without a good one. Raises Problem 503.

        Where it takes a question to the database, another one may go along.
        """


class NoClaims:
    """Takes from every request the headers in which a client could claim to be somebody."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take them away before anything reads them."""
        del resp
        strip(req.env)


def strip(env: dict[str, Any]) -> None:
    """Take the identity headers out of a WSGI environment; X-Auth-Token is no claim, it is checked."""
    for name in [one for one in env if one.startswith(_MAYBE) and one.startswith(CLAIMS)]:
        del env[name]


class LocalTokens:
    """Tokens that Sealward itself has issued."""

    challenge = 'X-Auth-Token realm="sealward"'
    advice = "`sealward token issue` makes one"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def who(self, req: falcon.Request, along: Along | None = None) -> Identity | None:
        """Return whose token the request has. It is looked up every time: a revoked one never passes."""
        secret = req.get_header("X-Auth-Token")
        token = self._tokens.who(secret, along) if secret and len(secret) <= MAX_TOKEN else None
        return None if token is None else Identity(token.name, frozenset((token.role,)), everywhere=True)
