"""The seed's examples, run as written: real curl, real HTTP, a shell that expands the variables."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from running import ADMIN, DATABASE, WEB, Running

GET_ONE = 'curl -X GET -H "X-Auth-Token: $token" http://controller:9362/v1/sign/$server_id'
GET_LIST = 'curl -X GET -H "X-Auth-Token: $token" http://controller:9362/sign?$offset=0&$limit=10'
POST = (
    'curl -X POST -H "X-Auth-Token: $token" -H "Content-Type: application/json" '
    '-d "{\\"server_id\\": \\"$server_id\\"}" http://controller:9362/v1/sign'
)
PUT = POST.replace("-X POST", "-X PUT")
ACTION = (
    'curl -X GET -H "X-Auth-Token: $token" -H "Content-Type: application/json" '
    '-d "{\\"action\\": \\"$action\\"}" "http://controller:9362/v1/sign/node/$node_id/action"'
)
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
AS_IN_ONE = ["id", "instance_name", "server_id", "node_id", "is_valid", "created_at", "updated_at"]
AS_IN_LISTS = sorted(AS_IN_ONE)


def shell(sealward: Running, line: str, **variables: str) -> str:
    """Run a line of the seed in a shell and return what it printed."""
    given = "".join(f"{name}='{value}'; " for name, value in ({"token": ADMIN} | variables).items())
    real = line.replace("http://controller:9362", sealward.url).replace("curl ", "curl -s ", 1)
    done = subprocess.run(  # noqa: S603 - lines of this module
        ["/bin/bash", "-c", f"{given}{real}; wait"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout


def parsed(text: str) -> dict[str, Any]:
    """Return JSON with the keys in the order they came."""
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_post_answers_the_sealed_sign(sealward: Running) -> None:
    """Seven keys as the seed orders them in answers to POST, `updated_at` null, RFC 1123 in GMT."""
    answer = parsed(shell(sealward, POST, server_id=WEB))

    assert list(answer) == ["sign"]
    sign = answer["sign"]
    assert list(sign) == AS_IN_LISTS
    assert sign | {"created_at": ""} == {
        "created_at": "",
        "id": 1,
        "instance_name": "instance-00000068",
        "is_valid": "true",
        "node_id": 1,
        "server_id": WEB,
        "updated_at": None,
    }
    assert DATE.fullmatch(sign["created_at"])


def test_get_one_answers_what_post_answered(sealward: Running) -> None:
    """Seven keys as the seed orders them in the answer to GET."""
    posted = parsed(shell(sealward, POST, server_id=WEB))["sign"]
    got = parsed(shell(sealward, GET_ONE, server_id=WEB))["sign"]

    assert list(got) == AS_IN_ONE
    assert got == posted


def test_get_list_is_ordered_by_id_and_served_without_v1(sealward: Running) -> None:
    """As the seed prints it, `$offset` and `$limit` included, which a shell may replace."""
    for server_id in (DATABASE, WEB):
        shell(sealward, POST, server_id=server_id)
    as_written = parsed(shell(sealward, GET_LIST))
    quoted = GET_LIST.replace("http", "'http") + "'"
    literal = parsed(shell(sealward, quoted))

    assert [one["server_id"] for one in as_written["signs"]] == [DATABASE, WEB]
    assert [list(one) for one in as_written["signs"]] == [AS_IN_LISTS, AS_IN_LISTS]
    assert literal == as_written


def test_put_keeps_id_and_creation_and_dates_the_update(sealward: Running) -> None:
    """The same sign with `updated_at` set."""
    posted = parsed(shell(sealward, POST, server_id=WEB))["sign"]
    put = parsed(shell(sealward, PUT, server_id=WEB))["sign"]

    assert list(put) == AS_IN_LISTS
    assert put | {"updated_at": None} == posted
    assert DATE.fullmatch(put["updated_at"])


@pytest.mark.parametrize("action", ["activate", "deactivate"])
def test_action_by_get_with_a_body(sealward: Running, action: str) -> None:
    """The action as the seed prints it: keys, types, a Celery task id."""
    answer = parsed(shell(sealward, ACTION, action=action, node_id="1"))

    assert list(answer) == ["action", "node_id", "success", "task_id"]
    assert (answer["action"], answer["node_id"], answer["success"]) == (action, 1, True)
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", answer["task_id"]
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_chunked_body_is_not_lost(sealward: Running, method: str) -> None:
    """`Transfer-Encoding: chunked` carries an action as well as Content-Length does."""
    line = ACTION.replace("-X GET", f'-X {method} -H "Transfer-Encoding: chunked"')
    answer = parsed(shell(sealward, line, action="activate", node_id="1"))

    assert answer["success"] is True


def test_paging_is_stable(sealward: Running) -> None:
    """Pages put together are the list; offsets beyond the end are empty."""
    for server_id in (WEB, DATABASE):
        sealward.sign(server_id)
    whole = sealward.ask("GET", "/v1/sign").json["signs"]
    first, second, third = (
        sealward.ask("GET", f"/v1/sign?limit=1&offset={offset}").json["signs"] for offset in range(3)
    )

    assert first + second == whole
    assert third == []
