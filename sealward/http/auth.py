"""Who asks: the token in X-Auth-Token. What a client says of itself in other headers counts for nothing."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import falcon

from sealward.http.errors import Problem
from sealward.http.policy import PUBLIC, may, methods

if TYPE_CHECKING:
    from sealward.commands.tokens import Token, Tokens

MAX_TOKEN = 4096
CHALLENGE = {"WWW-Authenticate": 'X-Auth-Token realm="sealward"'}


class RequestId:
    """Gives every request an id of its own; one that a client sends is not taken over."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name the request before anything can go wrong with it."""
        req.context.request_id = f"req-{uuid.uuid4()}"
        resp.set_header("X-Openstack-Request-Id", req.context.request_id)


class Authentication:
    """401 without a good token, 403 for what its role may not."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find out who asks, for all but the public paths."""
        del resp
        if req.path not in PUBLIC:
            req.context.token = self._token(req)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Ask the policy, once it is known what is asked for."""
        del resp, resource, params
        if req.path in PUBLIC or req.method == "OPTIONS":
            return
        template = (req.uri_template or "").removeprefix("/v1")
        if req.method not in methods(template):
            raise falcon.HTTPMethodNotAllowed(methods(template))
        token: Token = req.context.token
        if not may(token.role, req.method, template):
            message = f"The role {token.role} may not {req.method} {template}; use an administrator's token."
            raise Problem(403, "auth.forbidden", message)

    def _token(self, req: falcon.Request) -> Token:
        secret = req.get_header("X-Auth-Token")
        token = self._tokens.who(secret) if secret and len(secret) <= MAX_TOKEN else None
        if token is None:
            message = "Send a valid token in the header X-Auth-Token; `sealward token issue` makes one."
            raise Problem(
                401, "auth.required", message, {"WWW-Authenticate": 'X-Auth-Token realm="sealward"'}
            )
        return token


def actor(req: falcon.Request) -> str:
    """Return who asks, as the log has it."""
    token: Token = req.context.token
    return f"user:{token.name}"
