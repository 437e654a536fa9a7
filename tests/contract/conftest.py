"""A broker that the tests of this folder share, and what is each test's own there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from sealward.events.bus.bus import Bus
from stack.rabbitmq import RabbitMQ


@pytest.fixture
def namespace() -> str:
    """Return a name that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def bus(rabbitmq_server: RabbitMQ, namespace: str) -> Iterator[Bus]:
    """Yield a bus of its own."""
    made = Bus(rabbitmq_server.url, namespace)
    yield made
    made.close()
