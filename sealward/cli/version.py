"""`sealward --version`."""

from __future__ import annotations

import argparse


class Version(argparse.Action):
    """Prints the version of Sealward, and the profile by which this version measures."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the versions and exit."""
        from sealward.events.comparison.measurement import LIBVIRT_DOMAIN
        from sealward.events.version import own

        print(f"sealward {own()} (profile {LIBVIRT_DOMAIN})")
        parser.exit()
