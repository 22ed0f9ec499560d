"""``gamekeeper pipeline validate``: what it says without a server."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from gamekeeper.cli.app import build

LONELY = "version: 1\nname: lonely\nsteps:\n  - {name: db, type: service, container: {image: i}}\n"


def validate(folder: Path, text: str, *options: str) -> tuple[int, str]:
    file = folder / "pipeline.yaml"
    file.write_text(text)
    shown = CliRunner().invoke(build(), ["pipeline", "validate", str(file), *options])
    return shown.exit_code, shown.output


def test_a_warning_leaves_a_pipeline_valid(tmp_path: Path) -> None:
    code, shown = validate(tmp_path, LONELY)
    assert code == 0
    assert "is valid" in shown
    assert 'line 4: steps[0].name: service "db" is needed by no step' in " ".join(shown.split())
    code, shown = validate(tmp_path, LONELY, "--json")
    found = json.loads(shown)
    assert (code, found["valid"], [warning["line"] for warning in found["warnings"]]) == (0, True, [4])
