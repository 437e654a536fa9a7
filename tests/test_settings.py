"""Settings come from the environment, whole or not at all."""

from __future__ import annotations

import pytest

from sealward.settings import SettingRefused, Settings


def test_unset_and_empty_variables_mean_the_defaults() -> None:
    """An empty environment and empty values give the defaults."""
    assert Settings() == Settings.from_env({})
    assert Settings() == Settings.from_env({"SEALWARD_LISTEN": "", "SEALWARD_WAIT": ""})


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf", "1e99"])
def test_a_duration_that_is_none_is_refused_by_name(text: str) -> None:
    """A duration must be a positive number of seconds; the message names the variable."""
    with pytest.raises(SettingRefused, match="SEALWARD_WAIT"):
        Settings.from_env({"SEALWARD_WAIT": text})
