"""What a user of the broker may send, to the byte."""

from __future__ import annotations

import pytest

from sealward.intake.reports.quota import LARGEST, Quota, TooLarge


def test_a_message_may_be_as_large_as_the_largest() -> None:
    """A byte more is refused, from any sender."""
    quota = Quota(lambda: 0.0)
    quota.admit("node.kvm1", LARGEST)

    with pytest.raises(TooLarge):
        quota.admit("node.kvm2", LARGEST + 1)
