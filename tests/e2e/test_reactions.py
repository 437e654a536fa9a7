"""A running server in violation is stopped where the policy says so, and the log says by whose word."""

from __future__ import annotations

from pathlib import Path

from running import WEB, Running, running, until

from sealward.node_agent.hypervisor.fleet import SampleFleet
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.reactions import DONE


def reactions(sealward: Running) -> list[dict[str, object]]:
    """Return what is recorded."""
    return [one["data"] for one in sealward.ask("GET", "/v1/events?type=reaction.taken").json["events"]]


def test_a_violation_stops_the_server_once(tmp_path: Path) -> None:
    """The event names the policy; the agent that starts again does not do it again."""
    fleet = SampleFleet()
    with running(tmp_path, fleet) as sealward:
        sealward.sign()
        policy = sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_violation": "stop", "grace": 0.1}).json
        fleet.replace(WEB, "/disk'", "/other'")
        until(lambda: len(reactions(sealward)) == 1)
        (taken,) = reactions(sealward)
        ledger = Ledger(tmp_path / "node" / "ledger.sqlite")
        until(lambda: ledger.reaction(WEB) == DONE)
        ledger.close()
        fleet.start(WEB)
    with running(tmp_path, fleet) as again:
        until(again.is_quiet)
        assert reactions(again) == [taken]

    assert (taken["server_id"], taken["action"], taken["outcome"]) == (WEB, "shutdown", "done")
    assert taken["policy_position"] == policy["policy"]["position"]
