"""Versions of every part: which agents are of an earlier version, and which nodes have not come yet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from programs import sealward as program
from reporter import Reporter
from running import Running, until

from sealward.events import version
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN
from sealward.events.signing import keys
from sealward.node_agent.software_report import SoftwareReport
from sealward.protocol import reports
from sealward.protocol.desired import Software


def test_a_node_shows_its_version(shared: Running) -> None:
    """As its agent has reported it; the answer to the detailed health check has the API's own."""
    until(lambda: shared.ask("GET", "/v1/node/1").json["node"]["version"] is not None)
    node = shared.ask("GET", "/v1/node/1").json["node"]
    metrics = shared.ask("GET", "/metrics").body.decode()

    assert (node["version"], node["profile"]) == (version.own(), LIBVIRT_DOMAIN)
    assert node["hypervisor"].startswith("libvirt ")
    assert (node["expected"], node["outdated"]) == (False, False)
    assert shared.ask("GET", "/healthcheck?detailed").json["version"] == version.own()
    assert f'sealward_build_info{{version="{version.own()}"}} 1.0' in metrics
    assert f'sealward_node_versions{{version="{version.own()}"}} 1.0' in metrics
    assert "sealward_outdated_nodes 0.0" in metrics


def test_outdated_nodes_are_listed(sealward: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an earlier version than the API, and those that say none; not those that are ahead."""
    until(lambda: sealward.ask("GET", "/v1/node/1").json["node"]["version"] is not None)
    none = sealward.ask("GET", "/v1/node?outdated=true").json["nodes"]
    monkeypatch.setattr("sealward.http.node.own", lambda: "99.0.0")
    behind = sealward.ask("GET", "/v1/node?outdated=true").json["nodes"]
    ahead = sealward.ask("GET", "/v1/node?outdated=false").json["nodes"]

    assert none == ahead == []
    assert [node["id"] for node in behind] == [1]
    assert sealward.ask("GET", "/v1/node?outdated=maybe").status == 400


def test_a_node_that_was_let_in_is_expected(sealward: Running) -> None:
    """It is not silent, quiet or outdated before its agent has come, and no problem of the service."""
    pem = keys.public_pem(Reporter("kvm9", 2).key.public_key())
    created = sealward.ask("POST", "/v1/node", {"hostname": "kvm9", "public_key": pem}).json["node"]
    health = sealward.ask("GET", "/healthcheck?detailed").json
    metrics = sealward.ask("GET", "/metrics").body.decode()
    outdated = sealward.ask("GET", "/v1/node?outdated=true").json["nodes"]

    assert (created["expected"], created["reachable"]) == (True, False)
    assert health["expected"] == ["kvm9"]
    assert (health["silent"], health["quiet"]) == ([], [])
    assert "node.silent" not in health["problems"]
    assert "sealward_expected_nodes 1.0" in metrics
    assert outdated == []


@pytest.mark.parametrize(
    ("known", "than", "older"),
    [
        ("0.1.9", "0.2.0", True),
        ("0.2.0", "0.2.0", False),
        ("0.10.0", "0.9.0", False),
        ("0.2.0.dev1", "0.2.0", False),
        (None, "0.2.0", True),
        ("nonsense", "0.2.0", True),
        ("1.0.0", "0.2.0", False),
    ],
)
def test_versions_are_compared_as_numbers(known: str | None, than: str, older: bool) -> None:  # noqa: FBT001 - the expected result
    """Not as texts; a version that says nothing is an earlier one."""
    assert version.is_older(known, than) is older


class Libvirt:
    """A hypervisor, of which only the version is asked."""

    version = "libvirt 9.0.0"


@pytest.fixture
def sent() -> list[reports.AnyReport]:
    """Return the list that reports go to."""
    return []


@pytest.fixture
def report(sent: list[reports.AnyReport]) -> SoftwareReport:
    """Return the reporter of an agent."""
    return SoftwareReport(Libvirt(), "kvm1", sent.append)  # type: ignore[arg-type]  # the version is enough


def test_an_agent_reports_its_software_once(report: SoftwareReport, sent: list[reports.AnyReport]) -> None:
    """To a control plane that has other software of it on record, and again when it has changed."""
    report.begin(None)
    report.report()
    report.report()
    told = Software(version.own(), LIBVIRT_DOMAIN, "libvirt 9.0.0")
    assert sent == [
        reports.Software(
            hostname="kvm1", version=told.version, profile=told.profile, hypervisor=told.hypervisor
        )
    ]
    report.begin(told)
    report.report()
    assert len(sent) == 1
    report.begin(msgspec.structs.replace(told, version="0.1.0"))
    report.report()
    assert len(sent) == 2


def test_a_lost_libvirt_is_no_other_software(
    report: SoftwareReport, sent: list[reports.AnyReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on record stays on record until libvirt says its version again."""
    report.begin(Software(version.own(), LIBVIRT_DOMAIN, "libvirt 8.0.0"))
    monkeypatch.setattr(Libvirt, "version", "")
    report.report()

    assert sent == []


def test_an_earlier_control_plane_is_told_nothing(
    report: SoftwareReport, sent: list[reports.AnyReport]
) -> None:
    """Its answer to a registration has no field `software`: it would refuse the report."""
    report.begin(msgspec.UNSET)
    report.report()

    assert sent == []


def test_sealward_says_its_version(tmp_path: Path) -> None:
    """`sealward --version`, with the profile by which it measures."""
    done: subprocess.CompletedProcess[str] = program(tmp_path, "--version")

    assert done.returncode == 0
    assert done.stdout == f"sealward {version.own()} (profile {LIBVIRT_DOMAIN})\n"
