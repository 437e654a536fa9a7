"""Metrics: parsed as Prometheus parses them, read by a real Prometheus, named by alerts."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from running import BATCH, DATABASE, WEB, Running, running, until

from sealward.control.role import Role
from sealward.events.store.store import StoreUnavailable
from sealward.settings import Settings
from stack.processes import end, free_port, start

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
PROMTOOL = str(shutil.which("promtool"))
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(sealward: Running, *, detailed: bool = False) -> str:
    """Return the metrics as text, asked for without a token; in detail with one."""
    if detailed:
        answer = sealward.ask("GET", "/metrics?detailed")
    else:
        answer = sealward.ask("GET", "/metrics", headers={"X-Auth-Token": None})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body.decode()


def samples(sealward: Running, *, detailed: bool = False) -> Samples:
    """Return the metrics by name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(scraped(sealward, detailed=detailed))
        for one in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """Return one value."""
    return found[f"sealward_{name}", frozenset(labels.items())]


def promtool(*words: str, given: str | None = None) -> str:
    """Run promtool; return what it says."""
    done = subprocess.run(  # noqa: S603 - fixed words
        [PROMTOOL, *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_requests_are_counted_by_route_and_status(sealward: Running) -> None:
    """By the route's template, never by what a client made up."""
    for _ in range(3):
        sealward.ask("GET", f"/v1/sign/{WEB}")
    sealward.ask("GET", "/v1/sign/secret-name")
    sealward.ask("GET", "/secret-path?secret=query")
    sealward.ask("BREW", "/v1/sign")
    text, found = scraped(sealward), samples(sealward)
    route = "/v1/sign/{server_id}"

    assert value(found, "http_requests_total", method="GET", route=route, status="404") == 3
    assert value(found, "http_requests_total", method="GET", route=route, status="400") == 1
    assert value(found, "http_requests_total", method="GET", route="none", status="404") == 1
    assert value(found, "http_requests_total", method="other", route="/v1/sign", status="405") == 1
    assert value(found, "http_request_duration_seconds_count", method="GET", route=route) == 4
    assert "secret" not in text


def test_what_is_known_of_servers_nodes_and_tasks(sealward: Running) -> None:
    """Verdicts by value, the oldest, tasks by state, nodes, sweeps, events, head."""
    for server_id in (WEB, DATABASE, BATCH):
        sealward.sign(server_id)
    sealward.action("activate")
    sealward.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
    until(lambda: sealward.is_valid(WEB) == "false")
    until(lambda: value(samples(sealward), "verdicts", is_valid="false") == 1)
    until(lambda: value(samples(sealward), "lag_events", part="projections") == 0)
    found = samples(sealward)
    head = sealward.embedded.control_plane.store.head()

    assert value(found, "verdicts", is_valid="true") == 2
    assert value(found, "verdicts", is_valid="unknown") == 0
    assert 0 <= value(found, "oldest_verdict_seconds", is_valid="true") < 30
    assert value(found, "tasks", state="SUCCESS") == 4
    assert value(found, "tasks", state="PENDING") == 0
    assert value(found, "nodes", active="true") == 1
    assert value(found, "silent_nodes") == 0
    assert ("sealward_quiet_nodes", frozenset()) in found
    assert value(found, "events_total", topic="sign.created") == 3
    assert value(found, "events_total", topic="node.lost") == 0
    assert value(found, "log_head_position") == head
    assert value(found, "lag_seconds", part="projections") == 0
    assert value(found, "store_available") == 1
    assert 0 <= value(found, "nodes_seen_seconds_max") < 30
    assert 0 <= value(found, "nodes_swept_seconds_max") < 30
    assert 0 < value(found, "nodes_sweep_duration_seconds_max") < 30
    named = samples(sealward, detailed=True)
    (hostname,) = {dict(labels)["node"] for name, labels in named if name == "sealward_node_seen_seconds"}
    assert 0 <= value(named, "node_seen_seconds", node=hostname) < 30
    assert 0 <= value(named, "node_swept_seconds", node=hostname) < 30
    assert 0 < value(named, "node_sweep_duration_seconds", node=hostname) < 30


def test_a_look_is_good_for_a_moment(sealward: Running) -> None:
    """Who asks all the time does not cost a query each time."""
    looks: list[int] = []
    monitor = sealward.embedded.control_plane.services.monitor
    seen = monitor.leases.seen

    def counted() -> object:
        looks.append(1)
        return seen()

    monitor.leases.seen = counted  # type: ignore[method-assign,assignment]
    for _ in range(20):
        scraped(sealward)

    assert len(looks) <= 2


def test_without_the_store_there_are_still_metrics(sealward: Running) -> None:
    """They say that it is away; requests are counted all the same."""

    def away() -> object:
        raise StoreUnavailable

    sealward.embedded.control_plane.services.monitor.leases.seen = away  # type: ignore[method-assign,assignment]
    found = samples(sealward)

    assert value(found, "store_available") == 0
    assert any(name == "sealward_http_requests_total" for name, _ in samples(sealward))
    assert not any(name == "sealward_verdicts" for name, _ in found)


def test_metrics_can_be_kept_from_the_public(tmp_path: Path) -> None:
    """SEALWARD_METRICS=token: 401 without a token; a reader's will do."""
    with running(tmp_path, settings=Settings(metrics="token")) as sealward:
        reader = sealward.token_of(Role.READER)

        assert sealward.ask("GET", "/metrics", headers={"X-Auth-Token": None}).status == 401
        assert sealward.ask("GET", "/metrics", headers={"X-Auth-Token": reader}).status == 200


def test_two_control_planes_in_a_process_share_no_counts(tmp_path: Path) -> None:
    """There is no global registry."""
    with running(tmp_path / "a") as one, running(tmp_path / "b") as other:
        one.ask("GET", "/v1/schema")
        label = {"method": "GET", "route": "/v1/schema", "status": "200"}

        assert value(samples(one), "http_requests_total", **label) == 1
        assert ("sealward_http_requests_total", frozenset(label.items())) not in samples(other)


def test_promtool_finds_nothing_to_say_about_the_metrics(shared: Running) -> None:
    """Names, types, units and help as Prometheus wants them."""
    assert promtool("check", "metrics", given=scraped(shared)) == ""
    assert promtool("check", "metrics", given=scraped(shared, detailed=True)) == ""


def test_every_alert_fires_for_what_it_is_about() -> None:
    """And stays quiet when all is well: tests/assets/prometheus/alerts.yaml."""
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests/assets/prometheus/alerts.yaml"))


def test_alerts_name_metrics_that_there_are(shared: Running) -> None:
    """With labels that they have."""
    shared.sign()
    until(lambda: any(name == "sealward_oldest_verdict_seconds" for name, _ in samples(shared)))
    known: dict[str, set[str]] = {"up": {"job", "instance"}}
    for name, labels in samples(shared):
        known.setdefault(name, set()).update(label for label, _ in labels)
    known["sealward_lag_seconds"].add("part")
    rules = [one for group in yaml.safe_load(ALERTS.read_text())["groups"] for one in group["rules"]]
    for rule in rules:
        named = re.findall(r"\b(sealward_\w+|up)(?:\{([^}]*)\})?", rule["expr"])
        assert named, rule["alert"]
        for name, labels in named:
            assert name in known, rule["alert"]
            used = set(re.findall(r"(\w+)[=!]~?\"", labels))
            assert used <= known[name] | {"instance", "job"}, rule["alert"]


def test_a_real_prometheus_reads_them(shared: Running, tmp_path: Path) -> None:
    """As deploy/prometheus says, with the alerts loaded: the target is up, a query answers."""
    shared.sign(DATABASE)
    port = free_port()
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
    config["rule_files"] = [str(ALERTS)]
    config["global"]["scrape_interval"] = "1s"
    config["scrape_configs"][0]["static_configs"] = [{"targets": [shared.url.removeprefix("http://")]}]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    words = [str(shutil.which("prometheus")), f"--config.file={tmp_path}/prometheus.yaml"]
    words += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
    process = start(words, tmp_path / "log", {})
    try:
        asked = f"http://127.0.0.1:{port}/api/v1/query?query="

        def found(query: str) -> list[str]:
            try:
                with urllib.request.urlopen(asked + quote(query), timeout=5) as answer:  # noqa: S310 - our own
                    results = json.loads(answer.read())["data"]["result"]
            except OSError:
                return []
            return [one["value"][1] for one in results]

        until(lambda: found('up{job="sealward"}') == ["1"], 20)
        assert [float(one) for one in found("sum(sealward_verdicts)")] >= [1.0]
    finally:
        end(process)


def test_the_settings_are_checked() -> None:
    """A word that means nothing is refused by name."""
    assert dataclasses.asdict(Settings.from_env({}))["metrics"] == "public"
    with pytest.raises(ValueError, match="SEALWARD_METRICS"):
        Settings.from_env({"SEALWARD_METRICS": "secret"})
    with pytest.raises(ValueError, match="SEALWARD_LOG: "):
        Settings.from_env({"SEALWARD_LOG": "xml"})
