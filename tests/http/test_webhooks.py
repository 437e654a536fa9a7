"""Webhooks through the API, to a real receiver: in order, signed, tried again, replayed, never lost."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from receiver import Receiver
from running import BATCH, WEB, Running, running, until
from standardwebhooks import Webhook

from sealward.control.webhooks import schedule
from sealward.settings import Settings

LOOPBACK = Settings(webhook_networks=(ipaddress.ip_network("127.0.0.0/8"),))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield a receiver."""
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def sealward(tmp_path: Path) -> Iterator[Running]:
    """Yield a Sealward that may send to loopback."""
    with running(tmp_path, settings=LOOPBACK) as one:
        yield one


def hook(sealward: Running, url: str, **fields: object) -> tuple[str, str]:
    """Make a webhook; return its path and its secret."""
    made = sealward.ask("POST", "/v1/webhook", {"url": url} | fields)
    assert made.status == 201, made.body
    return f"/v1/webhook/{made.json['webhook']['id']}", made.json["secret"]


def sequences(receiver: Receiver) -> list[int]:
    """Return the positions of the events that were received."""
    return [int(json.loads(one.body)["sequence"]) for one in receiver.requests]


def test_events_arrive_in_order_and_signed(sealward: Running, receiver: Receiver) -> None:
    """Those of the filter; the specification's own library verifies each."""
    _, secret = hook(sealward, receiver.url, types=["sign.created", "sign.revoked"], server_id=WEB)
    sealward.sign()
    sealward.ask("DELETE", f"/v1/sign/{WEB}")
    until(lambda: len(receiver.requests) == 2)
    topics = [json.loads(one.body)["type"] for one in receiver.requests]

    assert topics == ["io.sealward.sign.created", "io.sealward.sign.revoked"]
    for one in receiver.requests:
        assert one.path == "/hook?from=sealward"
        assert one.headers["content-type"] == "application/cloudevents+json"
        assert Webhook(secret).verify(one.body, one.headers)["id"] == one.headers["webhook-id"]


def test_from_a_position_in_another_format(sealward: Running, receiver: Receiver) -> None:
    """From the first event on, as OCSF."""
    hook(sealward, receiver.url, format="ocsf", after=0)
    until(lambda: len(receiver.requests) >= 3)
    found = [json.loads(one.body)["metadata"]["sequence"] for one in receiver.requests]

    assert found == sorted(set(found))
    assert found[0] == 1


def test_what_fails_is_tried_again_and_nothing_is_lost(
    sealward: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same event under the same id; the log of deliveries shows each attempt."""
    monkeypatch.setattr(schedule, "PAUSES", (0.1,))
    receiver.status = 500
    path, _ = hook(sealward, receiver.url, types=["sign.created"])
    sealward.sign()
    until(lambda: len(receiver.requests) >= 3)
    receiver.status = 200
    sealward.sign(BATCH)
    until(lambda: sealward.ask("GET", path).json["webhook"]["failures"] == 0)
    until(lambda: len(set(sequences(receiver))) == 2)
    first = receiver.requests[0].headers["webhook-id"]
    attempts = sealward.ask("GET", f"{path}/delivery").json["deliveries"]

    assert {one.headers["webhook-id"] for one in receiver.requests[:3]} == {first}
    assert [one["status"] for one in attempts if one["event_id"] == first][-3:] == [500, 500, 500]
    assert attempts[0]["status"] == 200
    assert [one["attempt"] for one in attempts if one["event_id"] == first][-1] == 1


def test_a_receiver_that_is_gone_is_left_alone_until_somebody_resumes(
    sealward: Running, receiver: Receiver
) -> None:
    """Status 410 disables; the events wait, and come when the position is set."""
    receiver.status = 410
    path, _ = hook(sealward, receiver.url, types=["sign.created"])
    before = sealward.ask("GET", path).json["webhook"]["position"]
    sealward.sign()
    until(lambda: sealward.ask("GET", path).json["webhook"]["disabled"] == "gone")
    asked = len(receiver.requests)
    sealward.sign(BATCH)
    time.sleep(1.2)  # two looks of the courier
    untouched = len(receiver.requests) == asked
    receiver.status = 204
    resumed = sealward.ask("PUT", f"{path}/position", {"after": before})
    until(lambda: len(receiver.requests) == asked + 2)

    assert untouched
    assert resumed.json["webhook"]["disabled"] is None
    assert len(set(sequences(receiver))) == 2


def test_a_replay_sends_the_same_events_again(sealward: Running, receiver: Receiver) -> None:
    """Under the same ids, so that a receiver can know them."""
    path, _ = hook(sealward, receiver.url, types=["sign.created"], after=0)
    sealward.sign()
    until(lambda: len(receiver.requests) == 1)
    until(lambda: sealward.ask("GET", path).json["webhook"]["position"] > sequences(receiver)[0])
    sealward.ask("PUT", f"{path}/position", {"after": 0})
    until(lambda: len(receiver.requests) == 2)

    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1


def test_a_new_secret_signs_beside_the_earlier_one(sealward: Running, receiver: Receiver) -> None:
    """For a day; no other call shows a secret."""
    path, earlier = hook(sealward, receiver.url, types=["sign.created"])
    new = sealward.ask("POST", f"{path}/secret").json["secret"]
    sealward.sign()
    until(lambda: len(receiver.requests) == 1)
    (one,) = receiver.requests
    shown = sealward.ask("GET", path).body + sealward.ask("GET", "/v1/webhook").body

    assert new != earlier
    for secret in (new, earlier):
        assert Webhook(secret).verify(one.body, one.headers)
        assert secret.encode() not in shown


def test_a_redirect_is_a_failure(sealward: Running, receiver: Receiver) -> None:
    """It would lead where nobody checked."""
    receiver.status, receiver.answer_headers = 307, {"Location": receiver.url + "&again"}
    path, _ = hook(sealward, receiver.url, types=["sign.created"])
    sealward.sign()
    until(lambda: sealward.ask("GET", path).json["webhook"]["failures"] == 1)

    assert len(receiver.requests) == 1


def test_a_receiver_that_hangs_holds_up_no_other(sealward: Running, receiver: Receiver) -> None:
    """Each webhook has a thread of its own."""
    slow = Receiver()
    slow.may_answer.clear()
    hook(sealward, slow.url)
    hook(sealward, receiver.url)
    sealward.sign()
    until(lambda: len(slow.requests) == 1 and len(receiver.requests) >= 3)
    slow.close()


def test_events_go_on_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """Events of before it and of after it: none is left out."""
    with running(tmp_path, settings=LOOPBACK) as first:
        hook(first, receiver.url, after=0)
        until(lambda: len(receiver.requests) >= 2)
    with running(tmp_path, settings=LOOPBACK) as second:
        second.sign()
        head = int(second.ask("GET", "/v1/events?limit=0").json["head"])
        until(lambda: head in sequences(receiver))

    assert sorted(set(sequences(receiver))) == list(range(1, max(sequences(receiver)) + 1))


def test_what_cannot_be_a_webhook_is_refused(tmp_path: Path) -> None:
    """By its code, with the setting that would allow a network."""
    with running(tmp_path) as sealward:
        private = sealward.ask("POST", "/v1/webhook", {"url": "https://127.0.0.1/"})
        plain = sealward.ask("POST", "/v1/webhook", {"url": "ftp://a.example/"})
        topic = sealward.ask("POST", "/v1/webhook", {"url": "https://8.8.8.8/", "types": ["sign.blessed"]})
        unknown = sealward.ask("GET", "/v1/webhook/nobody")

    assert (private.status, private.json["error"]["reason"]) == (409, "webhook.address-refused")
    assert "SEALWARD_WEBHOOK_NETWORKS" in private.json["error"]["message"]
    assert (plain.status, plain.json["error"]["reason"]) == (400, "body.malformed")
    assert (topic.status, topic.json["error"]["reason"]) == (400, "parameter.bad-choice")
    assert (unknown.status, unknown.json["error"]["reason"]) == (404, "webhook.not-found")
