"""`make schemas`: writes the tables of settings in README.md and docs/openstack.md from the declarations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sealward.cli.settings import table
from sealward.settings import Keystone, Settings
from sealward.settings.declared import declared_by

ROOT: Final = Path(__file__).parent.parent
TABLE: Final = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- end -->)", re.DOTALL)
TABLES: Final = {ROOT / "README.md": Settings, ROOT / "docs/openstack.md": Keystone}


def written(page: Path) -> str:
    """Return the text of a page with its table of settings as the code declares them."""
    settings = table(declared_by(TABLES[page]))
    text, tables = TABLE.subn(lambda _: settings, page.read_text(encoding="utf-8"))
    if tables != 1:
        raise ValueError(f"{page}: {tables} tables of settings, expected 1")
    return text


if __name__ == "__main__":
    for page in TABLES:
        page.write_text(written(page), encoding="utf-8")
