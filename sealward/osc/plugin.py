"""Adds `openstack sign …` to the `openstack` command, as a plugin of osc-lib.

https://docs.openstack.org/python-openstackclient/latest/contributor/plugins.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osc_lib import utils

from sealward.client import Client

if TYPE_CHECKING:
    import argparse

API_NAME = "integrity"
API_VERSION_OPTION = "os_integrity_api_version"
API_VERSIONS = {"1": "sealward.client.Client"}
DEFAULT_API_VERSION = "1"


def make_client(instance: Any) -> Client:  # noqa: ANN401 - osc-lib's ClientManager grows its attributes
    """Return the client, which commands find as `self.app.client_manager.integrity`."""
    return Client(
        instance.session,
        region_name=instance.region_name,
        interface=instance.interface,
    )


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the global option for the API's version."""
    parser.add_argument(
        "--os-integrity-api-version",
        metavar="<integrity-api-version>",
        default=utils.env("OS_INTEGRITY_API_VERSION", default=DEFAULT_API_VERSION),
        help=f"Integrity API version, default={DEFAULT_API_VERSION} (Env: OS_INTEGRITY_API_VERSION)",
    )
    return parser
