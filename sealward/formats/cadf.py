"""DMTF's Cloud Auditing Data Federation, as OpenStack's services emit it: one JSON object an event.

DSP0262, version 1.0.0; `pycadf` has the same names. A verdict is a *control* event: its reason is required.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sealward.characters import escaped
from sealward.formats import kinds
from sealward.formats.kinds import Family

if TYPE_CHECKING:
    from sealward.formats.notice import Notice

EVENT: Final = "http://schemas.dmtf.org/cloud/audit/1.0/event"
OUTCOMES: Final = {
    "true": "success",
    "false": "failure",
    "unknown": "unknown",
    "done": "success",
    "failed": "failure",
}
"""The outcome of a verdict or reaction; the outcome of any other event is success."""
HTTP_REASON: Final = "sealward"
"""The type of the reason codes: docs/findings.md and the OpenAPI document list the codes."""


def render(notice: Notice) -> str:
    """Return the event as JSON on one line."""
    return json.dumps(_event(notice), separators=(",", ":"))


def _event(notice: Notice) -> dict[str, Any]:
    found = kinds.kind(notice)
    is_control = found.family is Family.FINDING
    event: dict[str, Any] = {
        "typeURI": EVENT,
        "id": notice.id,
        "eventType": "control" if is_control else "activity",
        "eventTime": notice.time.strftime("%Y-%m-%dT%H:%M:%S.%f+0000"),
        "action": found.act,
        "outcome": OUTCOMES.get(notice.is_valid or str(notice.data.get("outcome") or "true"), "unknown"),
        "name": found.title,
        "severity": kinds.severity(notice).name.lower(),
        "initiator": _initiator(notice),
        "target": _target(notice),
        "observer": {
            "id": escaped(notice.source),
            "typeURI": "service/security/sealward",
            "name": "sealward",
        },
        "attachments": [{"name": "cloudevent", "typeURI": "data/json", "content": notice.cloudevent}],
    }
    if is_control:
        codes = notice.reasons or (notice.topic,)
        event["reason"] = {"reasonType": HTTP_REASON, "reasonCode": ",".join(map(escaped, codes))}
    return event


def _initiator(notice: Notice) -> dict[str, Any]:
    kind, _, name = notice.actor.partition(":")
    uri = {"user": "service/security/account/user", "node": "compute/node"}.get(
        kind, "service/security/sealward"
    )
    origin = notice.data.get("origin") or {}
    found = {
        "id": escaped(str(origin.get("user_id") or notice.actor)),
        "typeURI": uri,
        "name": escaped(name or kind),
    }
    if origin.get("project_id"):
        found["project_id"] = escaped(str(origin["project_id"]))
    return found


def _target(notice: Notice) -> dict[str, Any]:
    if notice.server_id is None:
        return {"id": escaped(notice.node), "typeURI": "compute/node", "name": escaped(notice.node)}
    name = str(notice.data.get("instance_name") or notice.server_id)
    return {
        "id": notice.server_id,
        "typeURI": "compute/machine",
        "name": escaped(name),
        "host": _host(notice),
    }


def _host(notice: Notice) -> dict[str, str]:
    return {"id": str(notice.data.get("node_id", 0)), "agent": escaped(notice.node)}
