"""The settings of a Sealward process: environment variables, declared and read once, frozen."""

from sealward.settings.declared import secret
from sealward.settings.keystone import Keystone
from sealward.settings.kinds import Network, SettingRefused
from sealward.settings.serving import Limits, Serving
from sealward.settings.settings import Settings

__all__ = ["Keystone", "Limits", "Network", "Serving", "SettingRefused", "Settings", "secret"]
