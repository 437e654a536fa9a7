"""The Open Cybersecurity Schema Framework, version 1.6.0: one JSON object an event.

https://schema.ocsf.io/1.6.0/. A verdict, or another event that needs a security officer, is a *Detection
Finding* (2004). The call of an administrator is *API Activity* (6003). A change of a node's firmware or start
gate is *Device Config State Change* (5019). Any other event is a *Base Event* (0).
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING, Any, Final

from sealward.characters import escaped
from sealward.formats import kinds
from sealward.formats.kinds import Act, Family

if TYPE_CHECKING:
    from sealward.formats.notice import Notice

VERSION: Final = "1.6.0"
OTHER: Final = 99
LOG: Final = 1
SERVER: Final = 1
"""`device.type_id` of a node."""
CREATE, UPDATE, CLOSE = 1, 2, 3
CLASSES: Final = {
    Family.FINDING: (2, 2004, "Detection Finding"),
    Family.ORDER: (6, 6003, "API Activity"),
    Family.STATE: (5, 5019, "Device Config State Change"),
    Family.RECORD: (0, 0, "Base Event"),
}
"""The category's uid, the class's uid and the class's name."""
OF_ACT: Final = {
    Act.CREATE: 1,
    Act.EVALUATE: 2,
    Act.UPDATE: 3,
    Act.ENABLE: 3,
    Act.DISABLE: 3,
    Act.DELETE: 4,
    Act.REVOKE: 4,
}
"""`activity_id` of API Activity: create, read, update, delete."""
OVER: Final = frozenset({"node.returned", "sign.claim-settled"})
"""Events that close a finding, beside the verdict "true"."""
CLOSES: Final = {"node.returned": "node.lost", "sign.claim-settled": "sign.claimed"}
"""The topic whose finding an event closes."""


def render(notice: Notice) -> str:
    """Return the event as JSON on one line."""
    return json.dumps(_event(notice), separators=(",", ":"))


def _event(notice: Notice) -> dict[str, Any]:
    family = kinds.kind(notice).family
    category, class_uid, name = CLASSES[family]
    activity = _activity(notice)
    severity = kinds.severity(notice)
    return {
        "category_uid": category,
        "class_uid": class_uid,
        "class_name": name,
        "activity_id": activity,
        "activity_name": _activity_name(notice, activity),
        "type_uid": class_uid * 100 + activity,
        "time": notice.milliseconds,
        "severity_id": int(severity),
        "severity": severity.name.capitalize(),
        "message": escaped(kinds.sentence(notice)),
        "metadata": _metadata(notice),
        "unmapped": {"cloudevent": notice.cloudevent},
        **_OF_FAMILY[family](notice),
    }


def _activity(notice: Notice) -> int:
    match kinds.kind(notice).family:
        case Family.FINDING:
            return _stage(notice)
        case Family.ORDER:
            return OF_ACT.get(kinds.kind(notice).act, OTHER)
        case Family.STATE:
            return LOG
        case _:
            return OTHER


def _stage(notice: Notice) -> int:
    """Return whether a finding begins, goes on or ends."""
    if notice.topic in OVER or notice.is_valid == "true":
        return CLOSE
    return UPDATE if notice.is_valid == "unknown" else CREATE


def _activity_name(notice: Notice, activity: int) -> str:
    if activity == OTHER:
        return kinds.kind(notice).title
    names = {
        Family.FINDING: {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"},
        Family.ORDER: {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
        Family.STATE: {LOG: "Log"},
    }
    return names[kinds.kind(notice).family][activity]


def _metadata(notice: Notice) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": VERSION,
        "product": {
            "name": "Sealward",
            "vendor_name": "Sealward",
            "uid": escaped(notice.source),
            "version": importlib.metadata.version("sealward"),
        },
        "uid": notice.id,
        "event_code": notice.topic,
        "sequence": notice.position,
        "log_name": "sealward",
    }
    correlation = notice.data.get("global_request_id") or notice.data.get("task_id")
    if correlation:
        found["correlation_uid"] = escaped(str(correlation))
    return found


def _finding(notice: Notice) -> dict[str, Any]:
    found: dict[str, Any] = {
        "finding_info": {
            "uid": _finding_uid(notice),
            "title": kinds.kind(notice).title,
            "types": [escaped(one) for one in notice.reasons] or [notice.topic],
            "data_sources": ["libvirt"],
        },
        "is_alert": _stage(notice) != CLOSE,
        "status_id": 4 if _stage(notice) == CLOSE else 1,
        "status": "Resolved" if _stage(notice) == CLOSE else "New",
        "resources": [_resource(notice)],
        "device": _device(notice),
    }
    if notice.findings:
        found["evidences"] = [{"data": _difference(one)} for one in notice.findings]
    return found


def _finding_uid(notice: Notice) -> str:
    """Return the same id for the events of one finding, from its first event to the event that closes it."""
    topic = CLOSES.get(notice.topic, notice.topic)
    return "/".join(
        str(one) for one in (topic, notice.server_id or notice.node, notice.data.get("sign_id")) if one
    )


def _difference(finding: Any) -> dict[str, Any]:  # noqa: ANN401 - an object of the CloudEvent's JSON
    return {str(key): escaped(one) if isinstance(one, str) else one for key, one in finding.items()}


def _resource(notice: Notice) -> dict[str, Any]:
    if notice.server_id is None:
        return {"type": "node", "uid": escaped(notice.node), "name": escaped(notice.node)}
    found: dict[str, Any] = {"type": "server", "uid": notice.server_id}
    if notice.data.get("instance_name"):
        found["name"] = escaped(str(notice.data["instance_name"]))
    return found


def _device(notice: Notice) -> dict[str, Any]:
    return {
        "type_id": SERVER,
        "type": "Server",
        "uid": str(notice.data.get("node_id", 0)),
        "name": escaped(notice.node),
    }


def _order(notice: Notice) -> dict[str, Any]:
    origin = notice.data.get("origin") or {}
    user = {"name": escaped(notice.actor.partition(":")[2] or notice.actor)}
    if origin.get("user_id"):
        user["uid"] = escaped(str(origin["user_id"]))
    return {
        "actor": {"user": user},
        "api": {"operation": notice.topic, "service": {"name": "sealward"}, **_request(notice)},
        "src_endpoint": {"svc_name": "sealward-api"},
        "resources": [_resource(notice)],
        "status_id": 1,
        "status": "Success",
    }


def _request(notice: Notice) -> dict[str, Any]:
    asked = notice.data.get("request_id")
    return {"request": {"uid": escaped(str(asked))}} if asked else {}


def _state(notice: Notice) -> dict[str, Any]:
    gate = notice.data.get("enforcement")
    return {
        "device": _device(notice),
        "state_id": OTHER,
        "state": escaped(str(gate)) if gate else ("changed" if notice.findings else "as accepted"),
    }


def _nothing(_: Notice) -> dict[str, Any]:
    return {}


_OF_FAMILY: Final = {
    Family.FINDING: _finding,
    Family.ORDER: _order,
    Family.STATE: _state,
    Family.RECORD: _nothing,
}
