"""`sealward openstack-register`: register Sealward in Keystone: its service, endpoints and roles."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sealward.cli.refusal import Refusal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from keystoneauth1.adapter import Adapter

NAME: Final = "sealward"
TYPE: Final = "integrity"
DESCRIPTION: Final = "Integrity signatures of servers"
ROLES: Final = ("security-officer", "auditor")
"""The roles that Keystone does not have by default. It has admin and reader."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    register = commands.add_parser(
        "openstack-register",
        help="register Sealward in Keystone: print the commands, or run them",
        description="Print the `openstack` commands that register Sealward in Keystone's catalogue, and make "
        "the roles of its personas. With --run, make the calls, as the administrator whom OS_CLOUD or other "
        "OS_… variables name: an entry that exists stays, and an endpoint at another URL is updated.",
    )
    register.add_argument("url", help="where clients find the API, as https://sealward.example:9362")
    register.add_argument("--internal-url", metavar="URL", help="for services; default: the same")
    register.add_argument("--admin-url", metavar="URL", help="for administrators; default: the same")
    register.add_argument(
        "--region",
        default=os.environ.get("OS_REGION_NAME") or "RegionOne",
        help="the region of the endpoints; default: OS_REGION_NAME, or RegionOne",
    )
    register.add_argument("--run", dest="runs", action="store_true", help="make the calls")
    register.set_defaults(run=_register)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entries that the catalogue shall have. `urls` has a URL by interface."""

    region: str
    urls: dict[str, str]

    def commands(self) -> Iterator[list[str]]:
        """Yield the `openstack` commands that make the entries."""
        yield ["openstack", "service", "create", "--name", NAME, "--description", DESCRIPTION, TYPE]
        for interface, url in self.urls.items():
            yield ["openstack", "endpoint", "create", "--region", self.region, TYPE, interface, url]
        for role in ROLES:
            yield ["openstack", "role", "create", "--or-show", role]


def _register(args: argparse.Namespace) -> int:
    public = _base(args.url)
    urls = {
        "public": public,
        "internal": _base(args.internal_url) if args.internal_url else public,
        "admin": _base(args.admin_url) if args.admin_url else public,
    }
    wanted = Wanted(args.region, urls)
    if args.runs:
        _run(wanted)
    else:
        print("\n".join(shlex.join(command) for command in wanted.commands()))
    return 0


def _base(url: str) -> str:
    """Return the URL for the catalogue, that of version 1 of the API. Raises Refusal."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise Refusal(f"{url}: give a URL as https://sealward.example:9362")
    return url.rstrip("/").removesuffix("/v1") + "/v1"


def _run(wanted: Wanted) -> None:
    try:
        from keystoneauth1.exceptions import ClientException
        from openstack.config import OpenStackConfig
        from openstack.exceptions import ConfigException
    except ModuleNotFoundError as missing:
        raise Refusal(f"--run needs {missing.name}: pip install 'sealward[client]'") from missing
    try:
        session = OpenStackConfig().get_one().get_session()
        _make(_identity(session), wanted)
    except (ClientException, ConfigException) as refused:
        raise Refusal(f"Keystone: {refused}") from refused


def _identity(session: Any) -> Adapter:  # noqa: ANN401 - of openstacksdk, which names no type
    from keystoneauth1.adapter import Adapter

    return Adapter(
        session, service_type="identity", interface="public", min_version="3", max_version="3.latest"
    )


def _make(identity: Adapter, wanted: Wanted) -> None:
    """Make the entries that are missing, and print each entry that was made."""
    service = _one(identity, "service", {"name": NAME, "type": TYPE}, {"description": DESCRIPTION})
    for interface, url in wanted.urls.items():
        which = {"service_id": service["id"], "interface": interface, "region_id": wanted.region}
        endpoint = _one(identity, "endpoint", which, {"url": url})
        if endpoint["url"] != url:
            identity.patch(f"/endpoints/{endpoint['id']}", json={"endpoint": {"url": url}})
            print(f"endpoint {interface}: moved from {endpoint['url']} to {url}")
    for role in ROLES:
        _one(identity, "role", {"name": role}, {})


def _one(identity: Adapter, kind: str, which: dict[str, str], more: dict[str, str]) -> dict[str, Any]:
    """Return an entry of the catalogue; make it where it is missing."""
    name = which.get("name") or which["interface"]
    found: list[dict[str, Any]] = identity.get(f"/{kind}s", params=which).json()[f"{kind}s"]
    if found:
        print(f"{kind} {name}: there already")
        return found[0]
    made: dict[str, Any] = identity.post(f"/{kind}s", json={kind: which | more}).json()[kind]
    print(f"{kind} {name}: made")
    return made
