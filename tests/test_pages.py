"""The page of settings: each is explained, and no other page names one that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.settings_page import sections

ROOT = Path(__file__).parent.parent
ROWS = [row for rows in sections().values() for row in rows]
OF_CONTAINERS = {"GAMEKEEPER_RUN", "GAMEKEEPER_STEP", "GAMEKEEPER_TRY", "GAMEKEEPER_NODE", "GAMEKEEPER_PORT_NAME"}
OF_COMPOSE = {"GAMEKEEPER_VERSION", "GAMEKEEPER_BIND"}
PAGES = [ROOT / "README.md", ROOT / "docker-compose.yml", *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_each_setting_is_explained(row: tuple[str, str, str]) -> None:
    variable, _, meaning = row
    assert len(meaning.split()) >= 4, variable
    assert meaning.endswith("."), variable


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=lambda page: str(page.name))
def test_pages_name_settings_that_exist(page: Path) -> None:
    known = {variable for variable, *_ in ROWS} | OF_CONTAINERS | OF_COMPOSE
    named = set(re.findall(r"\bGAMEKEEPER_[A-Z_]*[A-Z]\b", page.read_text()))
    assert named - known == set()
