"""Requests are signed as Standard Webhooks 1.0.0 says: its own vector, and its own library."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from sealward.control.webhooks import signing


def test_the_vector_of_the_specification() -> None:
    """From the tests of its repository."""
    found = signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.dictionaries(st.text(max_size=9), st.integers(), max_size=3))
def test_the_library_verifies_the_new_and_the_earlier_secret(event: dict[str, int]) -> None:
    """A receiver that knows either of them takes the request; a receiver of another secret refuses it."""
    body, now = json.dumps(event).encode(), int(datetime.now(UTC).timestamp())
    new, earlier, other = (signing.new_secret() for _ in range(3))
    headers = signing.headers("an-event", now, body, [new, earlier])

    assert Webhook(new).verify(body, headers) == Webhook(earlier).verify(body, headers) == event
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", headers)
