"""The calls of the API: one description each, from which routes, checks and the OpenAPI document are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import falcon

from sealward.http.operation.body import body
from sealward.http.operation.errors import Problem
from sealward.http.operation.parameter import PATH, Parameter, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import msgspec

    from sealward.events.store.round_trip import Along
    from sealward.http.auth.access import Rule

TASK: Final = {"get-task-task_id": {"task_id": "$response.body#/task_id"}}
"""The link of an answer that names a task."""
READS: Final = frozenset(("GET", "HEAD"))
OF_A_SIGN: Final = {404: ("sign.not-found",)}
"""What a call about the sign of one server may be refused with."""

PAST_BUSY: Final = {429: ("past.busy",), 503: ("past.busy",)}
"""What a question about the past may be refused with."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer of one status holds: the type of its body, its media type, its own headers."""

    kind: type[msgspec.Struct | str] | None = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    also: str | None = None
    """Another media type that a client can ask for by Accept."""
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Names of operations → where in this answer their parameters are, as OpenAPI writes it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what it takes, who handles it, what it answers.

    `handle` is called with the request, the response and what is in the path, read by `parameter.PATH`; the
    first line of its docstring is the call's summary. The query, read by `query`, is `req.context.query`;
    the body, read as `body`, is `req.context.body`.
    """

    method: str
    template: str
    """The path, without /v1."""
    handle: Callable[..., None]
    answers: Mapping[int, Answer]
    rule: Rule | None = None
    """The permission that the call needs; None: no token is asked for, unless a parameter has a rule."""
    query: tuple[Parameter[Any], ...] = ()
    headers: tuple[str, ...] = ()
    """Request headers that mean something to this call alone."""
    body: type[msgspec.Struct] | None = None
    refuses: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Status → reasons that only this call, or few, are refused with."""
    bare: bool = False
    """Whether it is served without the prefix /v1 alone."""
    changes: bool = False
    """Whether it changes something although it is a GET: then there is no HEAD."""
    reads: Callable[..., Along | None] | None = None
    """Returns, given what is in the path, the row that it will read: asked along with the token."""

    @property
    def summary(self) -> str:
        """Return what the call does, in a line."""
        return (self.handle.__doc__ or "").strip().partition("\n")[0]

    @property
    def name(self) -> str:
        """Return the call's name, which no other has: `get-sign-server_id-verdict`."""
        words = self.template.replace(".", "/").translate(str.maketrans("", "", "{}")).split("/")
        return "-".join([self.method.lower(), *(word for word in words if word)])

    @property
    def rules(self) -> list[Rule]:
        """Return the permission that the call needs, then those that its parameters need."""
        return [rule for rule in (self.rule, *(one.rule for one in self.query)) if rule is not None]

    def needs(self, parameters: Iterable[str]) -> list[Rule]:
        """Return the permissions that a request with these parameters needs; none: the request is public."""
        given = {name.removeprefix("$") for name in parameters}
        asked = (one.rule for one in self.query if one.name in given)
        return [rule for rule in (self.rule, *asked) if rule is not None]

    def respond(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """Read what the request brings, then have it handled. Raises Problem."""
        read = _read(path)
        req.context.query = Query(req, self.query)
        if self.body is not None:
            req.context.body = body(req, self.body)
        self.handle(req, resp, **read)

    def along(self, path: Mapping[str, str]) -> Along | None:
        """Return the row that it will read; None where the path is not clear, which is refused later."""
        if self.reads is None:
            return None
        try:
            return self.reads(**_read(path))
        except Problem:
            return None


def _read(path: Mapping[str, str]) -> dict[str, Any]:
    return {name: PATH[name].read(text, name) for name, text in path.items()}


class Route:
    """All calls of one path, as Falcon wants them; HEAD is GET without the body."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = {one.method: one for one in operations}
        get = self._operations.get("GET")
        if get is not None and not get.changes:
            self._operations["HEAD"] = get
        for method, one in self._operations.items():
            setattr(self, f"on_{method.lower()}", one.respond)
        self.methods = sorted([*self._operations, "OPTIONS"])
        """What can be done here: the Allow header."""

    def needs(self, method: str, parameters: Iterable[str]) -> list[Rule]:
        """Return the permissions that a request needs; an unknown method needs those of another."""
        operation = self._operations.get(method) or next(iter(self._operations.values()))
        return operation.needs(parameters)

    def changes(self, method: str) -> bool:
        """Say whether the call of a method changes something."""
        operation = self._operations.get(method)
        return operation is not None and (operation.changes or method not in READS)

    def along(self, method: str, path: Mapping[str, str]) -> Along | None:
        """Return the row that the call of a method will read, where it says so beforehand."""
        operation = self._operations.get(method)
        return None if operation is None else operation.along(path)


def routes(operations: Iterable[Operation]) -> dict[str, Route]:
    """Return the routes by their templates; those that have a version with and without /v1."""
    ordered = sorted(operations, key=lambda one: one.template)
    made: dict[str, Route] = {}
    for template, group in itertools.groupby(ordered, key=lambda one: one.template):
        calls = list(group)
        route, pattern = Route(calls), template.replace("{tile}", "{tile:path}")
        made[pattern] = route
        if not calls[0].bare:
            made[f"/v1{pattern}"] = route
    return made


class Methods:
    """405 with Allow for what a path does not have; OPTIONS says what it has."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Look at the method as soon as the path is known."""
        del params
        if not isinstance(resource, Route):
            return
        if req.method == "OPTIONS":
            resp.status = falcon.HTTP_204
            resp.set_header("Allow", ", ".join(resource.methods))
            resp.complete = True
        elif req.method not in resource.methods:
            raise falcon.HTTPMethodNotAllowed(resource.methods)
