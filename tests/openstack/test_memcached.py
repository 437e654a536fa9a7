"""API processes that share checked tokens through a real memcached, with Keystone and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud import Cloud
from programs import Process, started
from running import Running, running

from sealward.settings import Settings
from stack.memcached import Memcached
from stack.processes import free_port

REMEMBERED = 60


@pytest.fixture
def memcached(tmp_path: Path) -> Iterator[Memcached]:
    """Return a running memcached that knows nothing."""
    server = Memcached(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def one(cloud: Cloud, memcached: Memcached, tmp_path: Path) -> Iterator[Running]:
    """Return an API process that can ask Keystone."""
    asks = cloud.settings(cache_time=float(REMEMBERED), memcached=(memcached.address,))
    with running(tmp_path / "one", settings=Settings(keystone=asks), token=cloud.token("admin")) as first:
        yield first


@pytest.fixture
def other(cloud: Cloud, memcached: Memcached, tmp_path: Path) -> Iterator[Process]:
    """Return another API process, for which Keystone is away."""
    (tmp_path / "other").mkdir()
    settings = cloud.environment() | {
        "SEALWARD_KEYSTONE_AUTH_URL": f"http://127.0.0.1:{free_port()}/v3",
        "SEALWARD_KEYSTONE_CACHE_TIME": str(REMEMBERED),
        "SEALWARD_KEYSTONE_MEMCACHED": memcached.address,
    }
    with started(tmp_path / "other", **settings) as second:
        yield second


def test_a_token_is_checked_once_for_all_processes(cloud: Cloud, one: Running, other: Process) -> None:
    """One has asked: the other knows the user and what the roles may, though Keystone is away for it."""
    olga, mia, arne = (cloud.token(user) for user in ("olga", "mia", "arne"))
    for token in (olga, mia):
        one.ask("GET", "/v1/sign", headers={"X-Auth-Token": token})

    assert other.ask("GET", "/v1/sign", token=olga)[0] == 200
    assert other.ask("GET", "/v1/sign", token=mia)[0] == 403
    status, refused = other.ask("GET", "/v1/sign", token=arne)  # nobody has checked that one
    assert (status, refused["error"]["reason"]) == (503, "auth.unavailable")


def test_a_revoked_token_passes_everywhere_as_long_as_it_is_remembered(
    cloud: Cloud, one: Running, other: Process
) -> None:
    """That is the price, at every process, also if another process has checked the token."""
    token = cloud.token("olga")
    headers: dict[str, str | None] = {"X-Auth-Token": token}
    before = one.ask("GET", "/v1/sign", headers=headers).status
    cloud.revoke(token)

    assert before == 200
    assert one.ask("GET", "/v1/sign", headers=headers).status == 200
    assert other.ask("GET", "/v1/sign", token=token)[0] == 200


def test_without_memcached_keystone_is_asked(
    cloud: Cloud, one: Running, other: Process, memcached: Memcached
) -> None:
    """What was remembered is gone; nobody is turned away for that where Keystone answers."""
    token = cloud.token("olga")
    headers: dict[str, str | None] = {"X-Auth-Token": token}
    before = one.ask("GET", "/v1/sign", headers=headers).status
    memcached.stop()

    assert (before, one.ask("GET", "/v1/sign", headers=headers).status) == (200, 200)
    assert other.ask("GET", "/v1/sign", token=token)[0] == 503
