"""A real Keystone for all tests of this folder, started once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from cloud import Cloud, furnish
from running import Running, running

from sealward.settings import Settings
from stack.keystone import Keystone


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Return a cloud with a running Keystone."""
    folder = Path(tempfile.mkdtemp(prefix="sw-ks-"))
    keystone = Keystone(folder)
    keystone.start()
    yield furnish(keystone)
    keystone.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the `openstack` program, without its second of imports."""
    folder = tmp_path_factory.mktemp("openstack")
    with warm.program(folder, "openstack", "openstackclient.shell:main", "openstack.") as program:
        yield program


@pytest.fixture(scope="module")
def shared(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward in that cloud that the tests of a module share."""
    settings = Settings(keystone=cloud.settings())
    with running(tmp_path_factory.mktemp("shared"), settings=settings, token=cloud.token("admin")) as one:
        yield one


@pytest.fixture(scope="module")
def remembering(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward that remembers checked tokens for a minute."""
    settings = Settings(keystone=cloud.settings(cache_time=60.0))
    with running(
        tmp_path_factory.mktemp("remembering"), settings=settings, token=cloud.token("admin")
    ) as one:
        yield one


@pytest.fixture
def sealward(cloud: Cloud, tmp_path: Path) -> Iterator[Running]:
    """Return a fresh Sealward in that cloud."""
    settings = Settings(keystone=cloud.settings())
    with running(tmp_path, settings=settings, token=cloud.token("admin")) as fresh:
        yield fresh
