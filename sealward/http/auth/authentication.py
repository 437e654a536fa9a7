"""Whoever asks is known by a checked token, and may do what the policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import falcon

from sealward import logs
from sealward.characters import escaped
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Route

if TYPE_CHECKING:
    from sealward.events.store.round_trip import Along
    from sealward.http.auth.identity import Identify, Identity
    from sealward.http.auth.policy import Policy, Rule
    from sealward.http.limits.limits import Limits


MOST_OF_ACTOR: Final = 1100
"""Bytes of what the log has of a user: a name of Keystone's has 255 characters at most."""


class Authentication:
    """401 without a good token, whether there is something at the path or not; 429 for who guesses."""

    def __init__(self, identify: Identify, limits: Limits) -> None:
        self._identify = identify
        self._limits = limits

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Identify the user, for all but public requests; the row that the call reads is asked for along."""
        del resp
        if not isinstance(resource, Route):
            raise falcon.HTTPRouteNotFound
        req.context.needs = resource.needs(req.method, req.params)
        if req.context.needs:
            req.context.along = resource.along(req.method, params)
            self._identified(req, req.context.along)

    def nowhere(self, req: falcon.Request, resp: falcon.Response, **_path: str) -> NoReturn:
        """Answer where there is nothing: 404, once it is known who asks."""
        del resp
        self._identified(req)
        raise falcon.HTTPRouteNotFound

    def _identified(self, req: falcon.Request, along: Along | None = None) -> None:
        secret = req.get_header("X-Auth-Token")
        identity = self._who(req, secret, along) if secret else None
        if identity is None:
            message = f"Send a valid token in the header X-Auth-Token; {self._identify.advice}."
            raise Problem(401, "auth.required", message, {"WWW-Authenticate": self._identify.challenge})
        req.context.identity = identity
        logs.add(actor=actor(req))

    def _who(self, req: falcon.Request, secret: str, along: Along | None) -> Identity | None:
        self._limits.may_ask(req, secret)
        identity = self._identify.who(req, along)
        if identity is None:
            self._limits.refused(req, secret)
        else:
            self._limits.accepted(req, secret)
        return identity


class Authorization:
    """403 for what the roles of whoever asks may not."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Ask the policy."""
        del resp, resource, params
        for rule in req.context.needs:
            self._demand(req.context.identity, rule)

    def _demand(self, identity: Identity, rule: Rule) -> None:
        if not self._policy.may(identity, rule):
            roles = ", ".join(sorted(identity.roles)) or "no role"
            message = f"The policy's rule {rule.name} does not allow this to {roles}; ask an administrator."
            raise Problem(403, "auth.forbidden", message)


def actor(req: falcon.Request) -> str:
    """Return who asks, as the log has it."""
    identity: Identity = req.context.identity
    return escaped(f"user:{identity.name}", MOST_OF_ACTOR)
