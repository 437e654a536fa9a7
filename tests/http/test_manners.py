"""What HTTP and OpenStack clients take for granted: discovery, request ids, pages, conditions, HEAD."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest
from keystoneauth1 import discover, noauth, session
from running import BATCH, DATABASE, WEB, Answer, Running, until

from sealward.control.role import Role

PUBLIC = ("/", "/v1", "/v1/", "/healthcheck", "/healthcheck/live", "/healthcheck/ready")
GETS = (
    "/v1/sign",
    f"/v1/sign/{WEB}",
    f"/v1/sign/{WEB}/verdict",
    f"/v1/sign/{WEB}/envelope",
    f"/v1/sign/{WEB}/events",
    "/v1/node",
    "/v1/node/1",
    "/v1/server",
    "/v1/events?limit=1",
    "/v1/schema",
    "/v1/schema/sign.created",
    *PUBLIC,
)


@pytest.fixture(scope="module")
def signed(shared: Running) -> Running:
    """Return a Sealward that has signed three servers."""
    for server_id in (WEB, DATABASE, BATCH):
        shared.sign(server_id)
    return shared


def head(sealward: Running) -> int:
    """Return the position of the log."""
    return sealward.embedded.control_plane.store.head()


def follow(sealward: Running, path: str) -> list[Answer]:
    """Return the pages of a list, each named by the Link header of the one before."""
    pages = [sealward.ask("GET", path)]
    while link := pages[-1].headers.get("link"):
        named = re.fullmatch(r'<(.*)>; rel="?next"?', link)
        assert named, link
        where = urlsplit(named[1])
        assert (where.scheme, where.netloc) == ("", ""), "it is relative: a client's Host is not reflected"
        pages.append(sealward.ask("GET", f"{where.path}?{where.query}"))
    return pages


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_keystoneauth_discovers_the_api(shared: Running, path: str) -> None:
    """From the catalogue's URL, with or without the version, without a token."""
    found = discover.Discover(session.Session(auth=noauth.NoAuth()), shared.url + path)

    assert found.url_for("1") == f"{shared.url}/v1/"
    assert [one["raw_status"] for one in found.version_data()] == ["CURRENT"]


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_the_body(signed: Running, path: str) -> None:
    """The same status and headers, no body, nothing done."""
    before = head(signed)
    got, headed = signed.ask("GET", path), signed.ask("HEAD", path)
    differs = ("date", "x-openstack-request-id")

    assert (headed.status, headed.body) == (got.status, b"")
    assert {name: value for name, value in headed.headers.items() if name not in differs} == {
        name: value for name, value in got.headers.items() if name not in differs
    }
    assert head(signed) == before


def test_an_action_is_nothing_to_ask_with_head(shared: Running) -> None:
    """The seed's GET changes something; HEAD may not."""
    answer = shared.ask("HEAD", "/v1/sign/node/1/action", {"action": "activate"})

    assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS, POST")


def test_options_says_what_there_is(shared: Running) -> None:
    """204 with Allow."""
    answer = shared.ask("OPTIONS", "/v1/sign")

    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST, PUT")


def test_a_global_request_id_is_taken_beside_ours(sealward: Running) -> None:
    """It is recorded with the order, and shown in its history and its CloudEvent; ours stays ours."""
    sent = f"req-{uuid.uuid4()}"
    answer = sealward.ask("POST", "/v1/sign", {"server_id": WEB}, headers={"X-Openstack-Request-Id": sent})
    ours = answer.headers["x-openstack-request-id"]
    history = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    (order,) = [one for one in history if one["type"] == "sign.created"]
    (event,) = sealward.ask("GET", "/v1/events?type=sign.created").json["events"]

    assert ours != sent
    assert (order["request_id"], order["data"]["global_request_id"]) == (ours, sent)
    assert (event["data"]["request_id"], event["data"]["global_request_id"]) == (ours, sent)


@pytest.mark.parametrize(
    "sent",
    [
        "req-mine",
        "req-",
        "a820f17b-0ec7-473f-8789-4e7f8790b22b",
        "req-a820f17b-0ec7-473f-8789-4e7f8790b22bx",
        "req-" + "a" * 36,
    ],
)
def test_what_is_no_request_id_is_not_taken(sealward: Running, sent: str) -> None:
    """Neither recorded nor refused."""
    sealward.ask("POST", "/v1/sign", {"server_id": WEB}, headers={"X-Openstack-Request-Id": sent})
    (event,) = sealward.ask("GET", "/v1/events?type=sign.created").json["events"]

    assert "global_request_id" not in event["data"]


@pytest.mark.parametrize(("path", "key"), [("/v1/sign", "signs"), ("/v1/server", "servers")])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_are_linked(signed: Running, path: str, key: str, limit: int) -> None:
    """The pages that the Link headers name are the list; the bodies have nothing but the list."""
    whole = signed.ask("GET", path)
    pages = follow(signed, f"{path}?limit={limit}")

    assert "link" not in whole.headers
    assert [one for page in pages for one in page.json[key]] == whole.json[key]
    assert all(list(page.json) == [key] for page in pages)
    assert len(pages) == -(-len(whole.json[key]) // limit)


def test_links_keep_the_filters_and_replace_the_offset(signed: Running) -> None:
    """So that they go on from where the page ended."""
    pages = follow(signed, "/v1/sign?$offset=1&$limit=1&is_valid=true&node_id=1")

    assert [one["server_id"] for page in pages for one in page.json["signs"]] == [DATABASE, BATCH]


def test_a_history_is_linked(signed: Running) -> None:
    """By position."""
    whole = signed.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    pages = follow(signed, f"/v1/sign/{WEB}/events?limit=1")

    assert [one for page in pages for one in page.json["events"]] == whole


def test_a_list_whose_marker_is_gone_goes_on(sealward: Running) -> None:
    """What was revoked between two pages takes nothing with it."""
    ids = {server_id: sealward.sign(server_id)["id"] for server_id in (WEB, DATABASE, BATCH)}
    sealward.ask("DELETE", f"/v1/sign/{DATABASE}")
    page = sealward.ask("GET", f"/v1/sign?marker={ids[DATABASE]}&limit=5").json["signs"]

    assert [one["server_id"] for one in page] == [BATCH]


@pytest.mark.parametrize("path", [f"/v1/sign/{WEB}", f"/v1/sign/{WEB}/verdict"])
def test_what_has_not_changed_is_304(sealward: Running, path: str) -> None:
    """If-None-Match with the tag, weak or in a list, saves the body; another tag does not."""
    sealward.sign()
    tag = sealward.ask("GET", path).headers["etag"]

    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        known = sealward.ask("GET", path, headers={"If-None-Match": sent})
        assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
    assert sealward.ask("GET", path, headers={"If-None-Match": '"other"'}).status == 200


def test_a_tag_is_another_as_soon_as_the_verdict_is(sealward: Running) -> None:
    """And once more when more is found to differ, though the verdict stays false."""
    sealward.sign()
    tags = [sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"]]
    for wrong in ("other", "third"):
        sealward.fleet.replace(WEB, f"/{WEB}/{'disk' if wrong == 'other' else 'other'}", f"/{WEB}/{wrong}")
        until(lambda wrong=wrong: any(wrong in one["found"] for one in sealward.verdict()["findings"]))  # type: ignore[misc]
        tags.append(sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"])

    assert len(set(tags)) == 3


@pytest.mark.parametrize("path", [f"/v1/sign/{WEB}", f"/v1/sign/{WEB}/verdict"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_only_what_was_looked_at_is_changed(sealward: Running, method: str, path: str) -> None:
    """With the tag of the sign or of its verdict; with one that is gone by 412, and nothing is written."""
    sealward.sign()
    old = sealward.ask("GET", path).headers["etag"]
    sealward.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
    until(lambda: sealward.is_valid() == "false")
    before = head(sealward)
    target = "/v1/sign" if method == "PUT" else f"/v1/sign/{WEB}"
    body = {"server_id": WEB} if method == "PUT" else None

    for sent in (old, f"W/{sealward.ask('GET', path).headers['etag']}", '"', "nonsense", ","):
        refused = sealward.ask(method, target, body, headers={"If-Match": sent})
        assert (refused.status, refused.json["error"]["reason"]) == (412, "sign.changed")
    assert head(sealward) == before
    looked_at = f'"more", {sealward.ask("GET", path).headers["etag"]}'
    assert sealward.ask(method, target, body, headers={"If-Match": looked_at}).status in {200, 204}
    assert sealward.ask(method, target, body, headers={"If-Match": looked_at}).status in {412, 404}


def test_of_many_who_looked_at_the_same_one_is_first(sealward: Running) -> None:
    """The writer decides on the log, not on rows: of eight PUTs with one tag exactly one is carried out."""
    sealward.sign()
    tag = sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"]

    def put(_: int) -> int:
        return sealward.ask("PUT", "/v1/sign", {"server_id": WEB}, headers={"If-Match": tag}).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(put, range(8)))

    assert statuses == [200] + [412] * 7


def test_any_tag_will_do_where_there_is_one(sealward: Running) -> None:
    """`*` means: if it is signed at all."""
    headers: dict[str, str | None] = {"If-Match": "*"}

    assert sealward.ask("PUT", "/v1/sign", {"server_id": WEB}, headers=headers).status == 404
    sealward.sign()
    assert sealward.ask("PUT", "/v1/sign", {"server_id": WEB}, headers=headers).status == 200


def test_post_and_put_answer_the_tag(sealward: Running) -> None:
    """The one that GET has."""
    posted = sealward.ask("POST", "/v1/sign", {"server_id": WEB}).headers["etag"]
    got = sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"]
    put = sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).headers["etag"]

    assert posted == got != put


def test_health_says_no_more_than_yes(shared: Running) -> None:
    """A load balancer learns nothing of the fleet."""
    for path in ("/healthcheck", "/healthcheck/live", "/healthcheck/ready"):
        answer = shared.ask("GET", path, headers={"X-Auth-Token": None})
        assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "query", [f"at={quote('0001-01-01T00:00:00+23:59')}", "at=9999-12-31T23:59:59-23:59"]
)
def test_a_time_beyond_all_calendars_is_refused(shared: Running, query: str) -> None:
    """400, not 500: it cannot be said in UTC."""
    answer = shared.ask("GET", f"/v1/sign?{query}")

    assert (answer.status, answer.json["error"]["reason"]) == (400, "parameter.bad-time")


def test_the_feed_since_the_beginning_of_all_calendars(shared: Running) -> None:
    """Is the whole feed."""
    assert shared.ask("GET", "/v1/events?since=0001-01-01T00:00:00Z").json["events"]


def test_in_detail_for_who_may_know(shared: Running) -> None:
    """What lags, who is silent, verdicts and tasks; 401 without a token, 403 for a reader."""
    reader = shared.token_of(Role.READER)
    detailed = shared.ask("GET", "/healthcheck?detailed").json

    assert shared.ask("GET", "/healthcheck?detailed", headers={"X-Auth-Token": None}).status == 401
    assert shared.ask("GET", "/healthcheck?$detailed=true", headers={"X-Auth-Token": None}).status == 401
    assert shared.ask("GET", "/healthcheck?detailed", headers={"X-Auth-Token": reader}).status == 403
    assert (detailed["status"], detailed["problems"], detailed["silent"]) == ("ok", [], [])
    assert detailed["projections"] == {"position": detailed["head"], "events": 0, "seconds": 0.0}
    assert detailed["relay"] is None
