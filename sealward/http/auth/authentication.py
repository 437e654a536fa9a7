"""Authentication and authorization: a checked token names the user, access rules allow the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import falcon

from sealward import logs
from sealward.characters import escaped
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Route

if TYPE_CHECKING:
    from sealward.events.store.round_trip import Prefetch
    from sealward.http.auth.access import AccessRules, Rule
    from sealward.http.auth.identity import Identify, Identity
    from sealward.http.limits.limits import Limits


MOST_OF_ACTOR: Final = 1100
"""Bytes of an actor in the log, at most. A user name in Keystone has at most 255 characters."""


class Authentication:
    """Answers 401 to requests without a valid token, for any path, and 429 to guesses of tokens."""

    def __init__(self, identify: Identify, limits: Limits) -> None:
        self._identify = identify
        self._limits = limits

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Identify the user of a request, unless the call is public.

        The row that the call will read is fetched by the same query as the token, where the database allows
        it.
        """
        del resp
        if not isinstance(resource, Route):
            raise falcon.HTTPRouteNotFound
        req.context.needs = resource.needs(req.method, req.params)
        if req.context.needs:
            req.context.prefetch = resource.prefetch(req.method, params)
            self._identified(req, req.context.prefetch)

    def nowhere(self, req: falcon.Request, resp: falcon.Response, **_path: str) -> NoReturn:
        """Answer a request for an unknown path: 401 without a valid token, else 404."""
        del resp
        self._identified(req)
        raise falcon.HTTPRouteNotFound

    def _identified(self, req: falcon.Request, prefetch: Prefetch | None = None) -> None:
        secret = req.get_header("X-Auth-Token")
        identity = self._who(req, secret, prefetch) if secret else None
        if identity is None:
            message = f"Send a valid token in the header X-Auth-Token; {self._identify.advice}."
            raise Problem(401, "auth.required", message, {"WWW-Authenticate": self._identify.challenge})
        req.context.identity = identity
        logs.add(actor=actor(req))

    def _who(self, req: falcon.Request, secret: str, prefetch: Prefetch | None) -> Identity | None:
        self._limits.may_ask(req, secret)
        identity = self._identify.who(req, prefetch)
        if identity is None:
            self._limits.refused(req, secret)
        else:
            self._limits.accepted(req, secret)
        return identity


class Authorization:
    """Answers 403 to requests that an access rule does not allow to the user's roles."""

    def __init__(self, access_rules: AccessRules) -> None:
        self._access_rules = access_rules

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Check each access rule that the request needs. Raises Problem."""
        del resp, resource, params
        for rule in req.context.needs:
            self._demand(req.context.identity, rule)

    def _demand(self, identity: Identity, rule: Rule) -> None:
        if not self._access_rules.may(identity, rule):
            roles = ", ".join(sorted(identity.roles)) or "no role"
            message = f"The access rule {rule.name} does not allow this to {roles}; ask an administrator."
            raise Problem(403, "auth.forbidden", message)


def actor(req: falcon.Request) -> str:
    """Return the user of a request as an actor of the log: `user:NAME`."""
    identity: Identity = req.context.identity
    return escaped(f"user:{identity.name}", MOST_OF_ACTOR)
