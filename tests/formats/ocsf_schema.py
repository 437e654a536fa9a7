"""Compares an object with the compiled schema of OCSF 1.6.0, attribute by attribute."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = json.loads((Path(__file__).parents[1] / "assets" / "ocsf" / "schema-1.6.0.json").read_text())
BY_UID = {one["uid"]: one for one in SCHEMA["classes"].values()}
TYPES: dict[str, Any] = {
    "string_t": str,
    "boolean_t": bool,
    "integer_t": int,
    "long_t": int,
    "timestamp_t": int,
}
OPEN = "object"
"""The object without attributes, of `unmapped`."""


def faults(event: dict[str, Any]) -> list[str]:
    """Return what is wrong with an event; nothing when it is as the schema says."""
    found = BY_UID.get(event.get("class_uid", -1))
    if found is None:
        return [f"no class {event.get('class_uid')}"]
    told = list(_of_object(event, found["attributes"], ""))
    if event["category_uid"] != found["category_uid"]:
        told.append("category_uid")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        told.append("type_uid")
    return told


def _of_object(value: dict[str, Any], attributes: dict[str, Any], path: str) -> Iterator[str]:
    for name, rule in attributes.items():
        if rule["requirement"] == "required" and name not in value:
            yield f"{path}{name} is missing"
    for name, part in value.items():
        if name not in attributes:
            yield f"{path}{name} is not of the schema"
            continue
        rule = attributes[name]
        if bool(rule.get("is_array")) is not isinstance(part, list):
            yield f"{path}{name}: array"
            continue
        for one in part if isinstance(part, list) else [part]:
            yield from _of_value(one, rule, f"{path}{name}")


def _of_value(value: Any, rule: dict[str, Any], path: str) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if (kind := rule.get("object")) is not None:
        if kind == OPEN:
            return
        named = SCHEMA["objects"][kind]
        yield from _of_object(value, named["attributes"], f"{path}.")
        least = named["constraints"].get("at_least_one")
        if least and not set(least) & set(value):
            yield f"{path} has none of {least}"
        return
    yield from _of_scalar(value, rule, path)


def _of_scalar(value: Any, rule: dict[str, Any], path: str) -> Iterator[str]:  # noqa: ANN401 - any JSON
    kind = rule["type"]
    limits = SCHEMA["types"].get(kind, {})
    python = TYPES.get(limits.get("type", kind))
    regex = limits.get("regex")
    if (python is not None and type(value) is not python) or (regex and not re.search(regex, value)):
        yield f"{path}: {value!r} is no {kind}"
    elif rule.get("enum") and path not in {"class_uid", "category_uid"} and str(value) not in rule["enum"]:
        yield f"{path}: {value!r} is not of the enumeration"
