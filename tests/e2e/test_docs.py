"""The documents' commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.stack import NODE, Stack

ROOT = Path(__file__).parent.parent.parent


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_tutorial(stack: Stack, tmp_path: Path) -> None:
    tutorial = ROOT / "docs" / "tutorial.md"
    text = blocks(tutorial, "yaml")[0].replace("debian:bookworm-slim", stack.image)
    (tmp_path / "first.yaml").write_text(text)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GAMEKEEPER_STATE_DIR": str(stack.state_dir),
    }
    output = ""
    for script in blocks(tutorial, "sh"):
        done = subprocess.run(
            ["sh", "-ec", script.replace("NODE", NODE)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        output += done.stdout
    assert "first.yaml: pipeline first with 2 step(s) is valid" in output
    assert "map ctf1" in output
    assert "run succeeded" in output
    assert "refused with exit code 2" in output


def test_language_page_is_valid(stack: Stack, tmp_path: Path) -> None:
    text = blocks(ROOT / "docs" / "language.md", "yaml")[0]
    assert "is valid" in stack.command("pipeline", "validate", stack.write(text, "language.yaml")).stdout


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/tutorial.md"])
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "up", "down", "status", "lint", "bench"} <= set(targets)
    assert all(f"  {target} " in done.stdout for target in targets)
