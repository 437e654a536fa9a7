"""Sealward in Keystone's catalogue: printed commands and --run come to the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cloud import Cloud
from programs import sealward

URL = "http://127.0.0.1:9"


def catalogue(cloud: Cloud) -> dict[str, str]:
    """Return the URLs of the service by interface."""
    services = cloud.identity().get("/auth/catalog").json()["catalog"]
    (found,) = [one for one in services if (one["type"], one["name"]) == ("integrity", "sealward")]
    return {one["interface"]: one["url"] for one in found["endpoints"]}


def roles(cloud: Cloud) -> set[str]:
    """Return the names of all roles."""
    return {one["name"] for one in cloud.identity().get("/roles").json()["roles"]}


@pytest.mark.timeout(300)  # commands, each a second or more
def test_the_printed_commands_register(cloud: Cloud, tmp_path: Path) -> None:
    """A shell runs them as they are; --run finds all there, and moves an endpoint."""
    cloud.forget()
    env = cloud.keystone.environment()
    printed = sealward(tmp_path, "openstack-register", URL)
    script = printed.stdout.replace("openstack ", f"{Path(sys.executable).parent}/openstack ")
    words = ["/bin/bash", "-ec", script]
    subprocess.run(words, env=env, capture_output=True, timeout=100, check=True)  # noqa: S603 - it is what we printed
    again = sealward(tmp_path, "openstack-register", f"{URL}/", "--run", **env)
    known = catalogue(cloud)
    moved = sealward(
        tmp_path, "openstack-register", URL, "--internal-url", "http://127.0.0.1:8/v1/", "--run", **env
    )

    assert known == dict.fromkeys(("public", "internal", "admin"), f"{URL}/v1")
    assert {"security-officer", "auditor"} <= roles(cloud)
    assert again.stdout.splitlines() == [
        "service sealward: there already",
        "endpoint public: there already",
        "endpoint internal: there already",
        "endpoint admin: there already",
        "role security-officer: there already",
        "role auditor: there already",
    ]
    assert f"endpoint internal: moved from {URL}/v1 to http://127.0.0.1:8/v1" in moved.stdout
    assert catalogue(cloud)["internal"] == "http://127.0.0.1:8/v1"


def test_what_cannot_be_done_is_said_in_a_line(cloud: Cloud, tmp_path: Path) -> None:
    """A URL that is none, no cloud named, a user who may not."""
    for url, env, message in (
        ("ftp://x", {}, "give a URL"),
        (URL, {}, "Keystone: "),
        (URL, cloud.keystone.environment("mia", OS_PROJECT_NAME="operations"), "Keystone: "),
    ):
        done = sealward(tmp_path, "openstack-register", url, "--run", **env)

        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
