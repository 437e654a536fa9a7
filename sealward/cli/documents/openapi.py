"""`sealward openapi`: print the OpenAPI document of the HTTP API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    openapi = commands.add_parser(
        "openapi",
        help="print the OpenAPI document of the HTTP API",
        description="Print the OpenAPI 3.1 document that the API serves at /openapi.json, indented.",
    )
    openapi.set_defaults(run=_openapi)


def _openapi(args: argparse.Namespace) -> int:
    del args
    from sealward.http.app import description

    print(json.dumps(description().document, indent=2, ensure_ascii=False))
    return 0
