"""Each wall of the import rules holds: a forbidden import, planted in a copy of the tree, breaks its contract alone.

A contract with a mistyped module or a wildcard too many is kept whatever is imported, and nobody would see it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".importlinter"
PLANTED = {
    "processes": ("control_worker/bootstrap.py", "api.settings"),
    "shared": ("gamekeeper/rpc/version.py", "gamekeeper.temporal.queues"),
    "domain": ("gamekeeper/domain/language/units.py", "gamekeeper.domain.run.step"),
    "domain_libraries": ("gamekeeper/domain/run/step.py", "temporalio"),
    "pure": ("workflows/run/interpreter.py", "grpc"),
    "docker": ("agent_worker/machine/inventory.py", "docker"),
    "cryptography": ("agent_worker/bootstrap.py", "cryptography"),
    "agent": ("agent_worker/bootstrap.py", "fastapi"),
    "gateway": ("gateway/rules.py", "gamekeeper.domain.run.step"),
    "api": ("api/services/event.py", "api.rest.health"),
    "edges": ("api/rest/v1/run.py", "gamekeeper.db.repositories.run"),
    "channels": ("api/services/alarm/channel.py", "gamekeeper.channels.address"),
    "outside": ("control_worker/bootstrap.py", "scripts.postgres"),
}


def contracts() -> dict[str, str]:
    """The names that a report gives to the contracts, by their ids."""
    parser = ConfigParser()
    parser.read(CONFIG)
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): parser[section]["name"]
        for section in parser.sections()
        if section.startswith(prefix)
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages that the rules are about."""
    parser = ConfigParser()
    parser.read(CONFIG)
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(CONFIG, copy)
    for package in parser["importlinter"]["root_packages"].split():
        shutil.copytree(ROOT / package, copy / package, ignore=lambda folder, names: {"__pycache__"} & set(names))
    return copy


@contextmanager
def planted(file: Path, module: str) -> Iterator[None]:
    before = file.read_text()
    file.write_text(f"{before}\nimport {module}\n")
    try:
        yield
    finally:
        file.write_text(before)


def broken(tree: Path) -> set[str]:
    """The ids of the contracts that a report calls broken."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={"COLUMNS": "500"}, check=False)
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)", done.stdout, re.MULTILINE))
    assert set(verdicts) == set(contracts().values()), done.stdout + done.stderr
    return {name for name, title in contracts().items() if verdicts[title] == "BROKEN"}


def test_every_contract_has_a_forbidden_import_planted() -> None:
    assert set(PLANTED) == set(contracts())


def test_the_tree_as_it_is_keeps_them_all(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize("contract", sorted(PLANTED))
def test_a_forbidden_import_breaks_its_contract_alone(tree: Path, contract: str) -> None:
    file, module = PLANTED[contract]
    with planted(tree / file, module):
        assert broken(tree) == {contract}
