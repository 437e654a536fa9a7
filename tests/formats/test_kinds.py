"""Every event of the log has a kind, and the urgent events are urgent."""

from __future__ import annotations

from formats import events

from sealward.events.wire.codec import EVENTS
from sealward.formats import kinds
from sealward.formats.severity import Severity


def test_each_topic_of_the_log_has_a_kind() -> None:
    """An event type that is added without a kind fails here."""
    assert set(kinds.KINDS) == set(EVENTS)


def test_a_topic_of_a_newer_version_passes() -> None:
    """A subscriber may be older than the control plane."""
    golden = events.golden(events.GOLDEN[0])
    newer = type(golden)(
        **{name: getattr(golden, name) for name in golden.__slots__} | {"topic": "sign.blessed"}
    )

    assert kinds.kind(newer) is kinds.NEW
    assert kinds.severity(newer) is Severity.INFORMATIONAL


def test_the_verdict_decides_the_severity() -> None:
    """False is high, unknown is medium, true is informational."""
    path = next(one for one in events.GOLDEN if one.name == "sign.validated.v1.json")
    found = [kinds.severity(events.changed(path, is_valid=one)).name for one in ("false", "unknown", "true")]

    assert found == ["HIGH", "MEDIUM", "INFORMATIONAL"]
