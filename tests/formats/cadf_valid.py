"""Run by a Python that has pycadf: reads events in JSON, one a line, and says of each whether it is valid."""

import json
import sys

from pycadf import (  # type: ignore[import-untyped]  # has no types
    attachment,
    event,
    reason,
    resource,
)

for line in sys.stdin:
    one = json.loads(line)
    why = one.pop("reason", None)
    one.pop("typeURI"), one.pop("severity")
    attached = [attachment.Attachment(a["typeURI"], a["content"], a["name"]) for a in one.pop("attachments")]
    for role in ("initiator", "target", "observer"):
        found = one[role]
        one[role] = resource.Resource(id=found["id"], typeURI=found["typeURI"], name=found["name"])
    made = event.Event(**one)
    for each in attached:
        made.add_attachment(each)
    if why:
        made.reason = reason.Reason(**why)
    print(made.is_valid() and all(each.is_valid() for each in attached))
