"""Whoever asks is known by a checked token, and may do what the policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward import logs
from sealward.http.errors import Problem
from sealward.http.policy import PUBLIC, is_public, rules

if TYPE_CHECKING:
    from collections.abc import Collection

    import falcon

    from sealward.http.identity import Identify, Identity
    from sealward.http.policy import Policy, Rule


class Authentication:
    """401 without a good token, 403 for what its roles may not."""

    def __init__(self, identify: Identify, policy: Policy, public: Collection[str] = PUBLIC) -> None:
        self._identify = identify
        self._policy = policy
        self._public = public

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find out who asks, for all but the public paths."""
        del resp
        if is_public(req.path, req.params, self._public):
            return
        identity = self._identify.who(req)
        if identity is None:
            message = f"Send a valid token in the header X-Auth-Token; {self._identify.advice}."
            raise Problem(401, "auth.required", message, {"WWW-Authenticate": self._identify.challenge})
        req.context.identity = identity
        logs.add(actor=actor(req))

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Ask the policy, once it is known what is asked for."""
        del resp, resource, params
        if is_public(req.path, req.params, self._public) or req.method == "OPTIONS":
            return
        template = (req.uri_template or "").removeprefix("/v1")
        method = "GET" if req.method == "HEAD" else req.method
        for rule in rules(method, template, req.params):
            self._demand(req.context.identity, rule)

    def _demand(self, identity: Identity, rule: Rule) -> None:
        if not self._policy.may(identity, rule):
            roles = ", ".join(sorted(identity.roles)) or "no role"
            message = f"The policy's rule {rule.name} does not allow this to {roles}; ask an administrator."
            raise Problem(403, "auth.forbidden", message)


def actor(req: falcon.Request) -> str:
    """Return who asks, as the log has it."""
    identity: Identity = req.context.identity
    return f"user:{identity.name}"
