"""Version discovery for OpenStack clients, without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sealward.http.operation.answer import answer
from sealward.http.operation.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon

    from sealward.http.services import Services


class Link(msgspec.Struct, frozen=True):
    """A link to a version of the API."""

    rel: str
    href: str


class Version(msgspec.Struct, frozen=True):
    """A version of the API; it has no microversions, so `version` and `min_version` are empty."""

    id: str
    status: Literal["CURRENT", "SUPPORTED", "DEPRECATED"]
    version: str
    min_version: str
    links: list[Link]


class VersionList(msgspec.Struct, frozen=True):
    """All versions."""

    versions: list[Version]


class VersionAnswer(msgspec.Struct, frozen=True):
    """A version of the API."""

    version: Version


class Versions:
    """`/` and `/v1`: keystoneauth finds the API by either."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation("GET", "/", self.list, {200: Answer(VersionList)}, bare=True),
            Operation("GET", "/v1", self.show, {200: Answer(VersionAnswer)}, bare=True),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the versions of the API."""
        del req
        answer(resp, VersionList([_first(self._services.public_url)]))

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show this version of the API."""
        del req
        answer(resp, VersionAnswer(_first(self._services.public_url)))


def _first(public_url: str) -> Version:
    links = [Link("self", f"{public_url}/v1/"), Link("describedby", f"{public_url}/openapi.json")]
    return Version("v1.0", "CURRENT", "", "", links)
