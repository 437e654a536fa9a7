"""The page for developers names files and targets that there are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"(?<![\w/])((?:sealward|tests|docs|requirements)/[\w./-]*[\w/])", PAGE)))
TARGETS = sorted(set(re.findall(r"make ([a-z][a-z-]+)", PAGE)))


@pytest.mark.parametrize("path", [one for one in PATHS if "NOUN" not in one])
def test_a_path_that_the_page_names_is_there(path: str) -> None:
    """A recipe that leads nowhere costs a newcomer an hour."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_the_page_names_is_there(target: str) -> None:
    """As `make help` lists it."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sealward/events/wire/codec.py", "EVENTS"),
        ("sealward/events/store/roles.py", "DECISIONS"),
        ("sealward/events/store/roles.py", "ORDERS"),
        ("sealward/node_agent/measuring/profile.py", "SECTIONS"),
        ("sealward/projections/store/database.py", "SHAPE"),
        ("tests/factories.py", "ONE_OF_EACH"),
    ],
)
def test_a_name_that_the_page_tells_to_change_is_there(file: str, name: str) -> None:
    """In the file that the page names."""
    assert f"`{name}`" in PAGE
    assert re.search(rf"^{name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_a_version_is_the_same_wherever_it_stands() -> None:
    """A release names one version: in the package, its image, its description and its list of changes."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["info"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    images = [
        found
        for name in ("compose.yaml", "Dockerfile")
        for found in re.findall(r"sealward:([\d.]+)", (ROOT / name).read_text(encoding="utf-8"))
    ]

    assert [version] == re.findall(r"^## (\S+)", changes, re.MULTILINE)[:1]
    assert {version} == {described, *images}


def test_a_module_that_any_page_names_is_there() -> None:
    """A page that names a module by its path follows when the module moves."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.name}: {path}"
        for page in pages
        for path in re.findall(r"(?<![\w/])sealward/[a-z_/]+\.(?:py|sql)", page.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    ]

    assert missing == []
