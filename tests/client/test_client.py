"""The Python client against a running Sealward, with a plain token and URL: no Keystone anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keystoneauth1.exceptions import ConnectFailure
from running import ADMIN, DATABASE, WEB, Running, running, until

from sealward.client import Client, RequestRefused, StreamBroken, connect
from sealward.events.signing import envelope as envelopes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward that the tests of this module share."""
    with running(tmp_path_factory.mktemp("shared")) as one:
        yield one


@pytest.fixture
def client(shared: Running) -> Client:
    """Return a client of it."""
    return connect(shared.url, ADMIN)


def test_every_call_has_a_method(client: Client) -> None:
    """What HTTP gives, as dictionaries."""
    created = client.create_sign(WEB)
    shown = client.show_sign(WEB)
    again = client.update_sign(WEB, if_match=shown["etag"])
    task = client.wait_for_task(client.validate_sign(WEB), 10)
    node = client.wait_for_task(client.activate_node(1), 10)

    assert shown | {"etag": None} == created | {"etag": None}
    assert again["id"] == created["id"]
    assert client.list_signs(is_valid="true") == [again]
    assert client.show_verdict(WEB)["is_valid"] == "true"
    assert envelopes.parse(client.show_envelope(WEB)).signatures
    assert (task["state"], node["state"]) == ("SUCCESS", "SUCCESS")
    assert client.show_node(1) | {"last_seen": 0} == client.list_nodes()[0] | {"last_seen": 0}
    pem = client.show_node(1)["public_key"]
    client.delete_node(client.create_node("kvm9", pem)["id"])
    assert [one["id"] for one in client.list_nodes()] == [1]
    assert client.replace_key(1, client.show_node(1)["public_key"])["id"] == 1
    assert [one["type"] for one in client.list_history(WEB)][:2] == ["instance.appeared", "sign.created"]
    assert client.deactivate_node(1)
    assert WEB not in {one["server_id"] for one in client.list_servers(signed=False)}
    until(lambda: len(list(client.list_report())) == 1)  # its node does not validate it any more
    assert client.show_report(by="node")["servers"] == 1
    until(lambda: client.list_tasks() == [])
    client.delete_sign(WEB)
    assert client.list_signs() == []


def test_a_refusal_says_all_that_the_api_said(client: Client) -> None:
    """Status, stable reason, message, and the request's id to look for in the log."""
    with pytest.raises(RequestRefused) as refused:
        client.show_sign(DATABASE)

    assert (refused.value.status, refused.value.reason) == (404, "sign.not-found")
    assert (refused.value.request_id or "").startswith("req-")
    assert refused.value.message in str(refused.value)


def test_a_stale_etag_changes_nothing(client: Client) -> None:
    """If-Match is for that."""
    client.create_sign(DATABASE)
    for act in (client.update_sign, client.delete_sign):
        with pytest.raises(RequestRefused, match=r"sign\.changed"):
            act(DATABASE, if_match='"stale"')
    client.delete_sign(DATABASE)


def test_events_come_as_they_happen(shared: Running, client: Client) -> None:
    """Pages say where to go on; a stream goes on by itself, and says when it broke."""
    page = client.list_events(limit=2)
    feed = client.follow_events(after=page["head"], type="sign.created")
    client.create_sign(WEB)

    assert [int(one["sequence"]) for one in page["events"]] == [1, 2]
    assert page["next"] == 2
    assert next(feed)["data"]["server_id"] == WEB
    client.delete_sign(WEB)
    shared.embedded.control_plane.closing.set()
    with pytest.raises(StreamBroken):
        next(feed)
    shared.embedded.control_plane.closing.clear()


def test_a_bad_token_and_nobody_there(shared: Running) -> None:
    """A refusal, and keystoneauth's own exception."""
    with pytest.raises(RequestRefused, match=r"auth\.required"):
        connect(shared.url, "wrong").list_signs()
    with pytest.raises(ConnectFailure):
        connect("http://127.0.0.1:9", ADMIN).list_signs()


def test_a_proxys_error_is_an_error(shared: Running) -> None:
    """What is no JSON of ours is said with its status."""
    with pytest.raises(RequestRefused, match="404"):
        connect(f"{shared.url}/nowhere", ADMIN).list_signs()


def test_openstack_works_with_a_plain_token_and_url(shared: Running) -> None:
    """`--os-auth-type admin_token` needs neither Keystone nor a catalogue."""
    until(shared.is_quiet)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    words = ["--os-auth-type", "admin_token", "--os-endpoint", shared.url, "--os-token", ADMIN]
    done = subprocess.run(  # noqa: S603 - a program of this environment
        [str(Path(sys.executable).parent / "openstack"), *words, "sign", "server", "list", "-f", "json"],
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert {WEB, DATABASE} <= {one["Server ID"] for one in json.loads(done.stdout)}
