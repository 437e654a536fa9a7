"""Questions of a second day: what is false or unknown and why, which orders wait, who did what since when."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from running import BASTION, BATCH, DATABASE, WEB, Answer, Running, running, until

from sealward.control.role import Role
from sealward.settings import Settings

GONE = "domain-not-found"


def evil(server: str) -> str:
    """Return the path of a disk that spreadsheets take for a formula when a cell begins with it."""
    return f"=HYPERLINK(A1)/{server}"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward with two servers that are false, one that is unknown, and one that is true."""
    with running(tmp_path_factory.mktemp("troubled"), settings=Settings(wait=0.5)) as one:
        for server in (WEB, DATABASE, BATCH, BASTION):
            one.sign(server)
        one.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
        one.fleet.replace(DATABASE, f"/var/lib/nova/instances/{DATABASE}/disk", evil(DATABASE))
        one.fleet.remove(BATCH)
        one.ask("POST", f"/v1/sign/{BATCH}/validate")
        until(lambda: one.verdict(BATCH)["reasons"] == [GONE])
        until(lambda: {one.is_valid(WEB), one.is_valid(DATABASE)} == {"false"})
        yield one


def report(sealward: Running, query: str = "") -> dict[str, Any]:
    """Return a report."""
    found: dict[str, Any] = sealward.ask("GET", f"/v1/report{query}").json["report"]
    return found


def table(sealward: Running, query: str = "") -> list[dict[str, str]]:
    """Return the rows of a report as CSV."""
    answer = sealward.ask("GET", f"/v1/report{query}", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))


def named(found: dict[str, Any]) -> dict[str, int]:
    """Return the number of servers of each group."""
    return {group["name"]: group["servers"] for group in found["groups"]}


def test_servers_are_grouped_by_reason(troubled: Running) -> None:
    """Of a server that is true there is no word; each group names servers, nodes and findings."""
    found = report(troubled)

    assert (found["servers"], found["false"], found["unknown"], found["left"]) == (3, 2, 1, 0)
    assert named(found) == {"measurement-differs": 2, GONE: 1}
    first = found["groups"][0]
    assert (first["false"], first["unknown"], first["nodes"]) == (2, 0, 1)
    assert {one["server_id"] for one in first["members"]} == {WEB, DATABASE}
    assert first["means"]
    assert first["to_do"]
    assert all(one["findings"] and one["hostname"] and one["instance_name"] for one in first["members"])


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (
            "finding",
            {'/domain/devices/disk[target/@dev="vda"]/source/@file': 2, GONE: 1},
        ),
        ("section", {"disks": 2, GONE: 1}),
        ("code", {"disk-changed": 2, GONE: 1}),
    ],
)
def test_servers_are_grouped_by_what_they_have_in_common(
    troubled: Running, by: str, groups: dict[str, int]
) -> None:
    """A server without findings is grouped by its reason."""
    assert named(report(troubled, f"?by={by}")) == groups


def test_servers_are_grouped_by_node(troubled: Running) -> None:
    """The hostname is the group's name."""
    (group,) = report(troubled, "?by=node")["groups"]
    hostname = troubled.ask("GET", "/v1/node/1").json["node"]["hostname"]

    assert (group["name"], group["servers"]) == (hostname, 3)


def test_filters(troubled: Running) -> None:
    """By verdict, reason, section and node; a group names as many servers as were asked for."""
    assert named(report(troubled, "?is_valid=unknown")) == {GONE: 1}
    assert report(troubled, "?reason=domain-not-found")["servers"] == 1
    assert report(troubled, "?section=disks")["servers"] == 2
    assert report(troubled, "?section=memory")["groups"] == []
    assert report(troubled, "?node_id=7")["servers"] == 0
    (group,) = report(troubled, "?section=disks&servers=1")["groups"]
    assert (group["servers"], len(group["members"])) == (2, 1)


def test_a_table_has_a_row_for_each_finding(troubled: Running) -> None:
    """And a row for each reason of a server without findings. No cell is a formula."""
    rows = table(troubled)

    assert {row["server_id"] for row in rows} == {WEB, DATABASE, BATCH}
    by_server = {row["server_id"]: row for row in rows}
    assert by_server[BATCH]["reason"] == GONE
    assert by_server[BATCH]["xpath"] == ""
    assert (by_server[WEB]["code"], by_server[BATCH]["code"]) == ("disk-changed", "")
    assert by_server[WEB]["found"].endswith(f"/{WEB}/other")
    assert by_server[DATABASE]["found"] == f"'{evil(DATABASE)}"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert [row["server_id"] for row in table(troubled, "?is_valid=unknown")] == [BATCH]


@pytest.mark.parametrize("query", ["by=colour", "is_valid=true", "servers=-1", "section=a/b", "at=now"])
def test_a_bad_question_is_refused(troubled: Running, query: str) -> None:
    """400, as everywhere."""
    assert troubled.ask("GET", f"/v1/report?{query}").status == 400


def test_a_reader_may_see_the_report(troubled: Running) -> None:
    """The report shows what verdicts show; nobody sees it without a token."""
    reader = troubled.token_of(Role.READER)

    assert troubled.ask("GET", "/v1/report", headers={"X-Auth-Token": reader}).status == 200
    assert troubled.ask("GET", "/v1/report", headers={"X-Auth-Token": None}).status == 401


def test_many_groups_are_cut(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest groups are shown, and the others are counted."""
    monkeypatch.setattr("sealward.http.report.report.GROUPS", 1)
    found = report(troubled)

    assert (named(found), found["left"]) == ({"measurement-differs": 2}, 1)


def test_a_report_reads_more_rows_than_a_page(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, none twice."""
    monkeypatch.setattr("sealward.http.report.report.PAGE", 1)

    assert report(troubled)["servers"] == 3
    assert len({row["server_id"] for row in table(troubled)}) == 3


def test_orders_that_wait_are_listed(tmp_path: Path) -> None:
    """With the server's name, the node and what was in the way; an order that is done is not listed."""
    with running(tmp_path, settings=Settings(wait=0.2)) as sealward:
        sealward.sign(WEB)
        assert sealward.ask("GET", "/v1/task").json["tasks"] == []
        sealward.fleet.remove(WEB)
        sealward.ask("PUT", "/v1/sign", {"server_id": WEB})
        until(lambda: [one["state"] for one in waiting(sealward.ask("GET", "/v1/task"))] == ["RETRY"])
        (task,) = waiting(sealward.ask("GET", "/v1/task?node_id=1&limit=5"))
        elsewhere = waiting(sealward.ask("GET", "/v1/task?node_id=2"))

    assert (task["name"], task["server_id"], task["node_id"]) == ("sealward.sign.update", WEB, 1)
    assert task["instance_name"]
    assert task["reachable"] is True
    assert task["reasons"]
    assert elsewhere == []


def waiting(answer: Answer) -> list[dict[str, Any]]:
    """Return the orders of an answer."""
    found: list[dict[str, Any]] = answer.json["tasks"]
    return found


class TestWhoDidWhat:
    """Questions to the log: several types, an actor, a name, a span of time."""

    def topics(self, sealward: Running, query: str) -> list[str]:
        """Return the topics of the events of a page."""
        answer = sealward.ask("GET", f"/v1/events?limit=1000&{query}")
        assert answer.status == 200, answer.body
        return [one["type"].removeprefix("io.sealward.") for one in answer.json["events"]]

    def test_several_types(self, troubled: Running) -> None:
        """Separated by commas; an unknown one among them is refused."""
        found = self.topics(troubled, "type=sign.created,sign.sealed")
        assert sorted(set(found)) == ["sign.created", "sign.sealed"]
        assert troubled.ask("GET", "/v1/events?type=sign.created,nothing").status == 400
        assert troubled.ask("GET", "/v1/events?type=sign.created,").status == 400

    def test_an_actor(self, troubled: Running) -> None:
        """By name, or all of a kind."""
        orders = {"sign.created", "sign.validation-requested"}
        assert set(self.topics(troubled, "actor=user:admin")) == orders
        assert set(self.topics(troubled, "actor=user:")) == orders
        assert "instance.appeared" in self.topics(troubled, "actor=node:")
        assert self.topics(troubled, "actor=user:adm") == []

    def test_a_name(self, troubled: Running) -> None:
        """The events about the server that has the name now, and about a node of that hostname."""
        name = next(
            one["instance_name"]
            for one in troubled.ask("GET", "/v1/sign").json["signs"]
            if one["server_id"] == WEB
        )
        page = troubled.ask("GET", f"/v1/events?limit=1000&name={name}").json
        hostname = troubled.ask("GET", "/v1/node/1").json["node"]["hostname"]

        assert {one["data"]["server_id"] for one in page["events"]} == {WEB}
        assert "sign.validated" in {one["type"].removeprefix("io.sealward.") for one in page["events"]}
        assert page["names"] == {WEB: name}
        assert "node.registered" in self.topics(troubled, f"name={hostname}")
        assert self.topics(troubled, "name=nobody") == []

    def test_a_span_of_time(self, troubled: Running) -> None:
        """Before `until`; where nothing later can match, `next` is `head`, so that a client ends."""
        now = datetime.now(UTC)
        earlier, later = (now - timedelta(hours=2)).isoformat(), (now + timedelta(hours=1)).isoformat()
        spans = {"until": earlier.replace("+", "%2B"), "later": later.replace("+", "%2B")}
        nothing = troubled.ask("GET", f"/v1/events?until={spans['until']}").json
        everything = troubled.ask("GET", f"/v1/events?limit=1000&until={spans['later']}").json

        assert (nothing["events"], nothing["next"]) == ([], nothing["head"])
        assert len(everything["events"]) == everything["head"]
