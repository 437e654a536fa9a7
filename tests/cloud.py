"""A small cloud: a real Keystone with projects, and a user for every persona."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.v3 import ApplicationCredential, Password
from keystoneauth1.session import Session

from sealward import settings
from stack.keystone import PASSWORD, REGION, Keystone

PROJECT: Final = "operations"
SERVICE_USER: Final = "sealward"
USERS: Final = {
    SERVICE_USER: ("service", "service"),
    "olga": ("security-officer", PROJECT),
    "arne": ("auditor", PROJECT),
    "mia": ("member", PROJECT),
    "rita": ("reader", "system"),
    "zoë": ("security-officer", PROJECT),
}
"""Name → role, and the project in which, or the system on which, the user has it."""


@dataclass(frozen=True)
class Cloud:
    """A Keystone that knows all of USERS; `ids` are those of projects, roles and users by name."""

    keystone: Keystone
    ids: dict[str, str]

    def session(self, user: str) -> Session:
        """Return a session of a user, in the project or on the system where the user has a role."""
        where = "admin" if user == "admin" else USERS[user][1]
        scope: dict[str, Any] = {"project_name": where, "project_domain_name": "Default"}
        if where == "system":
            scope = {"system_scope": "all"}
        password = Password(
            self.keystone.url, username=user, password=PASSWORD, user_domain_name="Default", **scope
        )
        return Session(auth=password)

    def token(self, user: str) -> str:
        """Return a fresh token of a user."""
        return str(self.session(user).get_token())

    def identity(self, user: str = "admin") -> Adapter:
        """Return the identity API, for a user."""
        return Adapter(self.session(user), service_type="identity", interface="public")

    def revoke(self, token: str) -> None:
        """Make a token worthless."""
        self.identity().delete("/auth/tokens", headers={"X-Subject-Token": token})

    def credential(self, user: str, name: str, **more: object) -> Session:
        """Make an application credential of a user and return a session with it."""
        wanted = {"name": name, "secret": PASSWORD} | more
        path = f"/users/{self.ids[user]}/application_credentials"
        made = self.identity(user).post(path, json={"application_credential": wanted}).json()
        known = made["application_credential"]["id"]
        return Session(
            auth=ApplicationCredential(
                self.keystone.url, application_credential_id=known, application_credential_secret=PASSWORD
            )
        )

    def register(self, url: str) -> None:
        """Put a Sealward into the catalogue, in place of one that was there."""
        words = [sys.executable, "-m", "sealward", "openstack-register", url, "--run"]
        env = os.environ | self.keystone.environment()
        subprocess.run(words, env=env, capture_output=True, timeout=60, check=True)  # noqa: S603 - our own

    def forget(self) -> None:
        """Take Sealward out of the catalogue."""
        identity = self.identity()
        for service in identity.get("/services?type=integrity").json()["services"]:
            identity.delete(f"/services/{service['id']}")

    def settings(self, **more: object) -> settings.Keystone:
        """Return what a Sealward in this cloud is set to."""
        found = {"auth_url": self.keystone.url, "password": PASSWORD, "region": REGION} | more
        return settings.Keystone(**found)  # type: ignore[arg-type]  # tests know

    def environment(self) -> dict[str, str]:
        """Return the same as environment variables."""
        return {
            "SEALWARD_AUTH": "keystone",
            "SEALWARD_KEYSTONE_AUTH_URL": self.keystone.url,
            "SEALWARD_KEYSTONE_PASSWORD": PASSWORD,
        }


def soon(seconds: float) -> str:
    """Return the time in so many seconds, as Keystone reads it."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def furnish(keystone: Keystone) -> Cloud:
    """Make the projects, roles and users."""
    cloud = Cloud(keystone, {})
    identity, ids = cloud.identity(), cloud.ids

    def made(kind: str, body: dict[str, object]) -> str:
        answer = identity.post(f"/{kind}s", json={kind: body}).json()
        return str(answer[kind]["id"])

    ids |= {role["name"]: role["id"] for role in identity.get("/roles").json()["roles"]}
    ids |= {one["name"]: one["id"] for one in identity.get("/users").json()["users"]}
    for project in ("service", PROJECT):
        ids[f"project:{project}"] = made("project", {"name": project, "domain_id": "default"})
    for role in ("security-officer", "auditor"):
        ids[role] = made("role", {"name": role})
    for user, (role, where) in USERS.items():
        ids[user] = made("user", {"name": user, "password": PASSWORD, "domain_id": "default"})
        place = "system" if where == "system" else f"projects/{ids[f'project:{where}']}"
        identity.put(f"/{place}/users/{ids[user]}/roles/{ids[role]}")
    return cloud
