"""The calls of the API.

Each is described once; routes, checks and the OpenAPI document come from the description.
"""

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

    from sealward.events.store.round_trip import Prefetch
    from sealward.http.auth.access import Rule

TASK: Final = {"get-task-task_id": {"task_id": "$response.body#/task_id"}}
"""The OpenAPI link of an answer that names a task."""
READS: Final = frozenset(("GET", "HEAD"))
OF_A_SIGN: Final = {404: ("sign.not-found",)}
"""Refusals of calls about the sign of a server."""

PAST_BUSY: Final = {429: ("past.busy",), 503: ("past.busy",)}
"""Refusals of calls about the past."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer with one status: the type of its body, its media type, its own headers."""

    kind: type[msgspec.Struct | str] | None = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    also: str | None = None
    """Another media type that a client can ask for with Accept."""
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Names of operations → where in this answer their parameters are, in OpenAPI's notation."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of the API: its parameters and body, the function that handles it, and its answers.

    `handle` is called with the request, the response, and the parameters of the path as `parameter.PATH`
    reads them. The first line of its docstring is the call's summary. The parameters of the query are in
    `req.context.query`; the body, read as `body`, is `req.context.body`.
    """

    method: str
    template: str
    """The path, without /v1."""
    handle: Callable[..., None]
    answers: Mapping[int, Answer]
    rule: Rule | None = None
    """The access rule of the call. With None the call is public, except that a parameter may have a rule."""
    query: tuple[Parameter[Any], ...] = ()
    headers: tuple[str, ...] = ()
    """Request headers that this call reads, beside the headers of every call."""
    body: type[msgspec.Struct] | None = None
    refuses: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Status → reasons of refusals, beside the reasons of every call."""
    bare: bool = False
    """Whether the path is served without the prefix /v1 only."""
    changes: bool = False
    """Whether the call changes something although its method is GET; then there is no HEAD."""
    reads: Callable[..., Prefetch | None] | None = None
    """Returns the query for the row that the call will read, given the parameters of the path.

    It is sent together with the query for the token.
    """

    @property
    def summary(self) -> str:
        """Return the summary of the call, in a line."""
        return (self.handle.__doc__ or "").strip().partition("\n")[0]

    @property
    def name(self) -> str:
        """Return the unique name of the call: `get-sign-server_id-verdict`."""
        words = self.template.replace(".", "/").translate(str.maketrans("", "", "{}")).split("/")
        return "-".join([self.method.lower(), *(word for word in words if word)])

    @property
    def rules(self) -> list[Rule]:
        """Return the access rule of the call, then those of its parameters."""
        return [rule for rule in (self.rule, *(one.rule for one in self.query)) if rule is not None]

    def needs(self, parameters: Iterable[str]) -> list[Rule]:
        """Return the access rules that a request with these parameters needs; none for a public request."""
        given = {name.removeprefix("$") for name in parameters}
        asked = (one.rule for one in self.query if one.name in given)
        return [rule for rule in (self.rule, *asked) if rule is not None]

    def respond(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """Read the parameters and the body, then call the handler. Raises Problem."""
        read = _read(path)
        req.context.query = Query(req, self.query)
        if self.body is not None:
            req.context.body = body(req, self.body)
        self.handle(req, resp, **read)

    def prefetch(self, path: Mapping[str, str]) -> Prefetch | None:
        """Return the query for the row that the call will read; None for an invalid path, refused later."""
        if self.reads is None:
            return None
        try:
            return self.reads(**_read(path))
        except Problem:
            return None


def _read(path: Mapping[str, str]) -> dict[str, Any]:
    return {name: PATH[name].read(text, name) for name, text in path.items()}


class Route:
    """All calls of one path, as a resource of Falcon. HEAD is GET without the body."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = {one.method: one for one in operations}
        get = self._operations.get("GET")
        if get is not None and not get.changes:
            self._operations["HEAD"] = get
        for method, one in self._operations.items():
            setattr(self, f"on_{method.lower()}", one.respond)
        self.methods = sorted([*self._operations, "OPTIONS"])
        """The methods of the path, for the Allow header."""

    def needs(self, method: str, parameters: Iterable[str]) -> list[Rule]:
        """Return the access rules that a request needs; for an unknown method, the rules of another."""
        operation = self._operations.get(method) or next(iter(self._operations.values()))
        return operation.needs(parameters)

    def changes(self, method: str) -> bool:
        """Return whether the call with that method changes something."""
        operation = self._operations.get(method)
        return operation is not None and (operation.changes or method not in READS)

    def prefetch(self, method: str, path: Mapping[str, str]) -> Prefetch | None:
        """Return the query for the row that the call with that method will read, if it states one."""
        operation = self._operations.get(method)
        return None if operation is None else operation.prefetch(path)


def routes(operations: Iterable[Operation]) -> dict[str, Route]:
    """Return the routes by path template, with and without /v1 where both are served."""
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
    """Answers 405 with Allow to methods that a path does not have, and answers OPTIONS."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Check the method as soon as the path is known."""
        del params
        if not isinstance(resource, Route):
            return
        if req.method == "OPTIONS":
            resp.status = falcon.HTTP_204
            resp.set_header("Allow", ", ".join(resource.methods))
            resp.complete = True
        elif req.method not in resource.methods:
            raise falcon.HTTPMethodNotAllowed(resource.methods)
