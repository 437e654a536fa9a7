"""Rows that are behind the log: an order that is recorded is not said to be undone."""

from __future__ import annotations

from pathlib import Path

from running import WEB, running, until

from sealward.settings import Settings


def test_an_order_that_the_rows_do_not_show_yet_is_503(tmp_path: Path) -> None:
    """The rows are held still; the order is in the log, and is carried out when they go on."""
    with running(tmp_path, settings=Settings(wait=0.2)) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server").json["servers"] != [])
        with sealward.embedded.control_plane.projections.writing():
            answer = sealward.ask("POST", "/v1/sign", {"server_id": WEB})
        assert (answer.status, answer.json["error"]["reason"]) == (503, "projections.lagging")
        assert int(answer.headers["retry-after"]) > 0
        until(lambda: sealward.ask("GET", f"/v1/sign/{WEB}").status == 200)
        until(lambda: sealward.is_valid() == "true")
