"""The tree as ARCHITECTURE.md draws it: our top-level names are ours alone, and the fixed places exist."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ["gamekeeper", "workflows", "activities", "api", "agent_worker", "control_worker", "gateway"]


@pytest.mark.parametrize("name", OURS)
def test_no_dependency_claims_our_names(name: str) -> None:
    owners = set(packages_distributions().get(name, [])) - {"gamekeeper"}
    assert owners == set()
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


@pytest.mark.parametrize("folder", ["proto", "deploy", "docs", "scripts", "examples"])
def test_folders_that_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        "docker-compose.yml",
        "pyproject.toml",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "SECURITY.md",
    ],
)
def test_fixed_files(name: str) -> None:
    assert (ROOT / name).is_file()


def test_every_wait_of_a_test_ends_by_the_one_limit() -> None:
    """A number of its own sooner or later decides whether a test passes: on a busy machine."""
    own = re.compile(r"asyncio\.timeout\([0-9.]+\)|wait_for\(.*\), [0-9.]+\)|\.until\(.*, [0-9.]+\)")
    texts = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    assert [str(path) for path, text in texts.items() if own.search(text)] == []


def test_every_direct_call_of_temporal_is_asked_again_where_its_connection_ends() -> None:
    """Temporal ends connections by their age, and a call that is just sent comes back as canceled."""
    direct = re.compile(r".*\b(?:workflow|operator)_service\.[a-z_]+\(.*")
    texts = [path.read_text() for name in OURS for path in (ROOT / name).rglob("*.py")]
    calls = [call for text in texts for call in direct.findall(text)]
    assert calls != []
    assert [call for call in calls if "lambda: " not in call] == []


def test_processes_are_the_folders_with_a_main() -> None:
    mains = {path.parent.name for path in ROOT.glob("*/__main__.py")}
    assert mains == {"api", "agent_worker", "control_worker", "gateway"}


def test_migrations_are_one_line() -> None:
    """Two that were written at the same time follow each other: with two ends no database can be brought up to date."""
    found = sorted((ROOT / "gamekeeper" / "db" / "migrations" / "versions").glob("0*.py"))
    assert [path.name[:4] for path in found] == [f"{number:04}" for number in range(1, len(found) + 1)]


def test_each_decision_has_a_number_of_its_own() -> None:
    """Texts name decisions by their numbers."""
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in found] == [f"{number:04}" for number in range(1, len(found) + 1)]
    for path in found:
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path.name
