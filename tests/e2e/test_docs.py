"""The documents' commands, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.spaces import Machine, Spaces, host
from tests.fixtures.stack import NODE, Stack

ROOT = Path(__file__).parent.parent.parent


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


TUTORIAL = ROOT / "docs" / "tutorial.md"
SECOND = "## A second machine"


def written(folder: Path, image: str, srv: Path) -> None:
    """The tutorial's files, as a reader has written them."""
    for text in blocks(TUTORIAL.read_text(), "yaml"):
        name = re.findall(r"^name: (\w+)", text, re.MULTILINE)[0]
        text = text.replace("debian:bookworm-slim", image).replace("/srv/", f"{srv}/")
        (folder / f"{name}.yaml").write_text(text)


def typed(scripts: list[str], folder: Path, stack: Stack, *before: str) -> str:
    """The output of scripts that each end well."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GAMEKEEPER_STATE_DIR": str(stack.state_dir)}
    output = ""
    for script in scripts:
        done = subprocess.run(
            [*before, "sh", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        output += done.stdout
    return output


@pytest.fixture
def srv() -> Iterator[Path]:
    """A folder of its own below the one that a node's policy allows by default."""
    folder = Path("/srv") / NODE
    for name in ("saves", "backups"):
        (folder / name).mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def test_tutorial(stack: Stack, tmp_path: Path, srv: Path) -> None:
    written(tmp_path, stack.image, srv)
    (srv / "saves" / "world.dat").write_text("a world")
    scripts = blocks(TUTORIAL.read_text().partition(SECOND)[0], "sh")
    output = typed([script.replace("NODE", NODE) for script in scripts], tmp_path, stack)
    try:
        stack.until(lambda: stack.get("/runs?pipeline=backup").json()["items"][0]["state"] == "succeeded")
    finally:
        stack.command("schedule", "rm", "backup-0")
    (archive,) = (srv / "backups").iterdir()
    with tarfile.open(archive) as packed:
        assert "./world.dat" in packed.getnames()
    with tarfile.open(tmp_path / "before-update.tar.gz") as packed:
        assert {"./gamekeeper.db", "./temporal.db", "./admin.key"} <= set(packed.getnames())
    assert "first.yaml: pipeline first with 3 steps is valid" in output
    assert "map ctf1" in output
    assert "run succeeded" in output
    assert "refused with exit code 2" in output


@pytest.mark.xdist_group("spaces")
def test_tutorial_on_a_second_machine(spaces: Spaces, tmp_path: Path) -> None:
    second = Machine(spaces.network, "open", tmp_path)
    text = TUTORIAL.read_text().partition(SECOND)[2]
    text = text.replace("192.168.1.10", host(1)).replace("second", second.node)
    written(tmp_path, spaces.image, Path("/srv"))
    serve, make_key, use = blocks(text, "sh")
    inside = spaces.network.inside("server")
    typed([serve], tmp_path, spaces, *inside)
    told = typed([make_key], tmp_path, spaces, *inside)
    second.start(line=next(line for line in told.splitlines() if line.startswith("gamekeeper agent --server")))
    try:
        spaces.until_status(second.node, "online")
        output = typed([use], tmp_path, spaces, *inside)
    finally:
        second.end(signal.SIGTERM)
        spaces.command("node", "rm", second.node, "--force")
    spaces.until_well()
    assert "map dm2" in output
    assert "run succeeded" in output


def test_language_page_is_valid(stack: Stack, tmp_path: Path) -> None:
    text = blocks((ROOT / "docs" / "language.md").read_text(), "yaml")[0]
    assert "is valid" in stack.command("pipeline", "validate", stack.write(text, "language.yaml")).stdout


@pytest.mark.parametrize(
    "name", ["README.md", "README.zh.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/tutorial.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "up", "down", "status", "lint", "bench"} <= set(targets)
    assert all(f"  {target} " in done.stdout for target in targets)
