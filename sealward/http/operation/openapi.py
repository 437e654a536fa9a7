"""The OpenAPI 3.1 document, made from the operations that also route and check requests.

https://spec.openapis.org/oas/v3.1.1. Its schemas are JSON Schema 2020-12, which msgspec generates from the
structs of bodies and answers.
"""

from __future__ import annotations

import importlib.metadata
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.http.operation.errors import ErrorAnswer
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import PATH, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import falcon

VERSION: Final = "3.1.1"
REF: Final = "#/components/schemas/{name}"
BRACED: Final = re.compile(r"\{(\w+)\}")
ABOUT: Final = """Integrity signatures of virtual machines on KVM/libvirt fleets.

Every path that begins with /v1 is served without it, too. HEAD is answered as GET, without the body."""

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Openstack-Request-Id": {
        "description": "The id of this request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^req-[0-9a-f-]{36}$"},
    },
    "ETag": {
        "description": "Names the version of the answer: for If-Match and If-None-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f.]+"$'},
    },
    "Location": {
        "description": "Where to look at what was made.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": "The next page, where `limit` cut this one (RFC 8288).",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "How to say who asks.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer"},
    },
    "If-Match": {"description": "Only if this is still its ETag.", "schema": {"type": "string"}},
    "If-None-Match": {"description": "Only if this is not its ETag.", "schema": {"type": "string"}},
    "Last-Event-ID": {
        "description": "The last position that a stream of server-sent events has brought.",
        "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
    },
}
"""The headers of requests and answers."""

OF_STATUS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
"""Headers that every answer with a status has."""

EVERYWHERE: Final = {
    400: ("parameter.unknown", "parameter.twice", "request.malformed"),
    429: ("http.too-many",),
}
WITH_TOKEN: Final = {
    401: ("auth.required",),
    403: ("auth.forbidden",),
    429: ("auth.too-many-refused",),
    503: ("auth.unavailable", "store.unavailable"),
}
WITH_BODY: Final = {
    400: ("body.missing", "body.malformed"),
    413: ("body.too-large",),
    415: ("body.not-json",),
}
WITH_PATH: Final = {404: ("path.not-found",)}


class Document(msgspec.Struct, frozen=True):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Description:
    """`/openapi.json`: describes the operations that it is given, and itself."""

    def __init__(self, others: Iterable[Operation]) -> None:
        answers = {200: Answer(Document)}
        self._own = Operation("GET", "/openapi.json", self.show, answers, bare=True)
        self.document = document([*others, self._own])
        self._text = msgspec.json.encode(self.document)

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [self._own]

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Describe the API."""
        del req
        resp.content_type = "application/json"
        resp.data = self._text


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of the operations, with the paths in order."""
    ordered = sorted(operations, key=lambda one: (one.template, one.method))
    paths: dict[str, dict[str, Any]] = {}
    for one in ordered:
        path = one.template if one.bare else f"/v1{one.template}"
        paths.setdefault(path, {})[one.method.lower()] = _operation(one)
    token = {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
    return {
        "openapi": VERSION,
        "info": {
            "title": "Sealward",
            "version": importlib.metadata.version("sealward"),
            "description": ABOUT,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(ordered),
            "headers": HEADERS,
            "securitySchemes": {"token": token},
        },
    }


def refusals(operation: Operation) -> dict[int, list[str]]:
    """Return the statuses with which an operation refuses requests, and the possible reasons of each."""
    found: dict[int, set[str]] = {}
    for source in _sources(operation):
        for status, reasons in source.items():
            found.setdefault(status, set()).update(reasons)
    return {status: sorted(reasons) for status, reasons in sorted(found.items())}


def _sources(operation: Operation) -> Iterable[Mapping[int, Iterable[str]]]:
    parameters = [*operation.query, *(PATH[name] for name in BRACED.findall(operation.template))]
    yield EVERYWHERE
    yield {400: [reason for one in parameters for reason in one.refuses]}
    yield operation.refuses
    if operation.rules:
        yield WITH_TOKEN
    if operation.body is not None:
        yield WITH_BODY
    if BRACED.search(operation.template):
        yield WITH_PATH
    if operation.method != "GET" or operation.changes:
        yield {429: ("writes.too-many",), 503: ("store.contention", "writes.too-many")}


def _operation(one: Operation) -> dict[str, Any]:
    in_path = BRACED.findall(one.template)
    parameters = [
        *({"in": "path", "required": True} | _parameter(PATH[name]) for name in in_path),
        *({"in": "query"} | _parameter(parameter) for parameter in one.query),
        *({"in": "header", "name": name} | HEADERS[name] for name in one.headers),
    ]
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": parameters,
        "responses": {str(status): _response(status, answer) for status, answer in one.answers.items()}
        | {str(status): _refusal(status, reasons) for status, reasons in refusals(one).items()},
        "security": _security(one),
    }
    for rule in one.rules[:1]:
        described["description"] = f"Rule `{rule.name}`; by default of {', '.join(sorted(rule.roles))}."
    if one.body is not None:
        content = {"application/json": {"schema": _ref(one.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _security(one: Operation) -> list[dict[str, Any]]:
    needs: list[dict[str, Any]] = [{"token": []}]
    if one.rule is not None:
        return needs
    return [{}, *needs] if one.rules else []


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    return {"name": parameter.name, "description": parameter.means, "schema": dict(parameter.schema)}


def _response(status: int, answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _about(status, answer),
        "headers": _headers(*answer.headers),
    }
    if answer.kind is not None:
        described["content"] = {answer.media: {"schema": _ref(answer.kind)}}
        if answer.also is not None:
            described["content"][answer.also] = {"schema": {"type": "string"}}
    if answer.links:
        links = {
            name: {"operationId": name, "parameters": dict(where)} for name, where in answer.links.items()
        }
        described["links"] = links
    return described


def _about(status: int, answer: Answer) -> str:
    if answer.kind in (None, str):
        return HTTPStatus(status).phrase
    return (answer.kind.__doc__ or "").strip()


def _refusal(status: int, reasons: list[str]) -> dict[str, Any]:
    own = {"properties": {"error": {"properties": {"code": {"const": status}, "reason": {"enum": reasons}}}}}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(reasons)}",
        "headers": _headers(*OF_STATUS.get(status, ())),
        "content": {"application/json": {"schema": {"allOf": [_ref(ErrorAnswer), own]}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Openstack-Request-Id", *names)}


def _ref(kind: type[msgspec.Struct | str]) -> dict[str, str]:
    if kind is str:
        return {"type": "string"}
    return {"$ref": REF.format(name=kind.__name__)}


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    kinds: set[type[Any]] = {ErrorAnswer}
    for one in operations:
        kinds |= {answer.kind for answer in one.answers.values() if answer.kind not in (None, str)}
        kinds |= set() if one.body is None else {one.body}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REF)
    ambiguous = [name for name in schemas if "." in name]
    if ambiguous:
        raise TypeError(f"structs that go by one name: {', '.join(ambiguous)}")
    return dict(sorted(schemas.items()))
