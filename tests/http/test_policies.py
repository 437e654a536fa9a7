"""Policies over HTTP: set, shown, heard by the node, forgotten with the sign."""

from __future__ import annotations

import pytest
from running import DATABASE, WEB, Running, until

DEFAULTS = {
    "on_start": "observe",
    "unsigned": "allow",
    "on_violation": "observe",
    "grace": 60,
    "firmware": "observe",
    "on_loss": "hold",
}
NOTHING = {"on_start": None, "on_violation": None, "grace": None}


def test_a_node_has_the_default_until_somebody_sets_it(shared: Running) -> None:
    """And then no event stands for it."""
    assert shared.ask("GET", "/v1/node/1/policy").json == {"policy": DEFAULTS | {"position": None}}


def test_a_policy_is_set_as_a_whole(sealward: Running) -> None:
    """What is not given is as by default; the answer names the event; the same again is no event."""
    first = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse", "unsigned": "refuse"}).json[
        "policy"
    ]
    second = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse", "grace": 5}).json["policy"]
    again = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse", "grace": 5}).json["policy"]
    (one, two) = sealward.ask("GET", "/v1/events?type=node.policy-set").json["events"]

    assert first == DEFAULTS | {"on_start": "refuse", "unsigned": "refuse", "position": int(one["sequence"])}
    assert second == again == DEFAULTS | {"on_start": "refuse", "grace": 5, "position": int(two["sequence"])}
    assert one["data"]["actor"] == "user:admin"


def test_a_server_is_treated_otherwise_until_it_is_not(sealward: Running) -> None:
    """PUT and DELETE; what holds in all is shown beside."""
    sealward.sign()
    sealward.ask("PUT", "/v1/node/1/policy", {"on_violation": "stop"})
    before = sealward.ask("GET", f"/v1/sign/{WEB}/policy").json
    during = sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_start": "refuse"}).json
    deleted = sealward.ask("DELETE", f"/v1/sign/{WEB}/policy")
    after = sealward.ask("GET", f"/v1/sign/{WEB}/policy").json

    assert before == {
        "policy": NOTHING | {"position": None},
        "effective": DEFAULTS | {"on_violation": "stop"},
    }
    assert during["policy"]["on_start"] == "refuse"
    assert during["effective"] == DEFAULTS | {"on_violation": "stop", "on_start": "refuse"}
    assert (deleted.status, deleted.body) == (204, b"")
    assert after["effective"] == before["effective"]


def test_the_node_hears_its_policies(sealward: Running) -> None:
    """By their events."""
    agent = sealward.embedded.agent
    sealward.sign()
    sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"})
    set_by = sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_violation": "stop"}).json["policy"][
        "position"
    ]

    until(lambda: agent.policies.of(WEB).set_by == set_by)
    assert agent.policies.of(WEB).policy.on_start == "refuse"
    assert agent.policies.of(DATABASE).policy.on_violation == "observe"


def test_a_revoked_sign_takes_its_policy_along(sealward: Running) -> None:
    """A new sign begins with its node's."""
    sealward.sign()
    sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_start": "refuse"})
    sealward.ask("DELETE", f"/v1/sign/{WEB}")
    none = sealward.ask("GET", f"/v1/sign/{WEB}/policy")
    sealward.sign()

    assert (none.status, none.json["error"]["reason"]) == (404, "sign.not-found")
    assert sealward.ask("GET", f"/v1/sign/{WEB}/policy").json["policy"] == NOTHING | {"position": None}


@pytest.mark.parametrize(
    "body",
    [
        {"on_start": "never"},
        {"grace": -1},
        {"grace": 1e9},
        {"grace": "5"},
        {"unsigned": None},
        {"colour": "red"},
        [],
    ],
)
def test_what_is_no_policy_is_refused(shared: Running, body: object) -> None:
    """400, and nothing is written."""
    before = shared.embedded.control_plane.store.head()
    answer = shared.ask("PUT", "/v1/node/1/policy", body)

    assert (answer.status, answer.json["error"]["reason"]) == (400, "body.malformed")
    assert shared.embedded.control_plane.store.head() == before


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/node/99/policy"), ("PUT", f"/v1/sign/{WEB}/policy")]
)
def test_what_nobody_knows_has_no_policy(shared: Running, method: str, path: str) -> None:
    """404 for nodes that are not registered and servers that are not signed."""
    assert shared.ask(method, path, {"on_start": "refuse"}).status == 404
