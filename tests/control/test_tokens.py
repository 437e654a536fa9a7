"""Tokens that Sealward issues itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sealward.control.database import SqliteControl
from sealward.control.role import Role
from sealward.control.tokens import Tokens

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_token_is_good_until_it_expires(tmp_path: Path) -> None:
    """At the moment of its expiry it is worthless; a token without an expiry is not."""
    control = SqliteControl(tmp_path / "control.sqlite")
    now = [NOW]
    tokens = Tokens(control, lambda: now[0])
    secret = tokens.issue("alice", Role.READER, NOW + timedelta(hours=1))
    lasting = tokens.issue("bob", Role.READER)
    good = []
    for moment in (NOW, NOW + timedelta(hours=1, microseconds=-1), NOW + timedelta(hours=1)):
        now[0] = moment
        good.append((tokens.who(secret) is not None, tokens.who(lasting) is not None))
    control.close()

    assert good == [(True, True), (True, True), (False, True)]
