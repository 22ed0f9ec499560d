"""The table of commands: none is forgotten, and each says what it does, with an example that works."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gamekeeper import cli
from gamekeeper.cli.app import COMMANDS, GROUPS, build, root
from gamekeeper.cli.context import Context
from gamekeeper.cli.examples import EXAMPLES
from gamekeeper.cli.lazy_group import Command, Group


def entries(table: Mapping[str, Command | Group], before: str = "") -> dict[str, Command | Group]:
    """Commands and groups by the words that call them."""
    found: dict[str, Command | Group] = {}
    for name, entry in table.items():
        words = f"{before} {name}".strip()
        found[words] = entry
        found |= entries(entry.commands if isinstance(entry, Group) else entry.below, words)
    return found


ALL = entries({**COMMANDS, **GROUPS})
WORDS = [words for words, entry in ALL.items() if isinstance(entry, Command)]
RUN = "6b0b067adb268570"
HEAVY = ["temporalio", "grpc", "sqlmodel", "sqlalchemy", "fastapi", "docker", "pydantic_settings", "rich.console"]


def written_commands() -> Iterator[Callable[..., None]]:
    """Public functions of the package that are written as a command is: their first parameter is the context."""
    for info in pkgutil.iter_modules(cli.__path__):
        module = importlib.import_module(f"gamekeeper.cli.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_") or function is root:
                continue
            hints = inspect.get_annotations(function)
            if list(hints.values())[:1] == ["typer.Context"] and hints["return"] == "None":
                yield function


def test_every_command_that_is_written_is_registered_once() -> None:
    registered = [entry.load() for entry in ALL.values() if isinstance(entry, Command)]
    assert len(registered) == len(set(registered))
    assert set(written_commands()) <= set(registered)


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("name", ["", *ALL])
def test_every_command_has_a_help(name: str, option: str) -> None:
    shown = CliRunner().invoke(build(), [*name.split(), option])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output
    assert ("Examples:" in shown.output) == (name in WORDS)


def test_the_help_names_every_command_in_the_order_of_the_table() -> None:
    shown = CliRunner().invoke(build(), ["--help"]).output
    places = [shown.index(f"\n  {name} ") for name in [*COMMANDS, *GROUPS]]
    assert places == sorted(places)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_begins_the_docstring(name: str) -> None:
    told = " ".join((COMMANDS[name].load().__doc__ or "").split())
    assert told.startswith(COMMANDS[name].summary)


@pytest.mark.parametrize("name", WORDS)
def test_every_example_is_a_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("policy.yaml", "join.key", "deploy.yaml", "arena.yaml"):
        Path(file).touch()
    lines = EXAMPLES[name].strip().splitlines()
    assert lines
    for line in lines:
        words = shlex.split(line.rpartition("| ")[2].partition(" && ")[0])
        assert words[: 1 + len(name.split())] == ["gamekeeper", *name.split()]
        command: Any = typer.main.get_command(build())
        parent = command.make_context("gamekeeper", [], resilient_parsing=True)
        parent.obj = Context("http://127.0.0.1:1", "none", tmp_path)
        for word in name.split():
            command = command.below[word] if hasattr(command, "below") else command.get_command(parent, word)
        command.make_context(name, words[1 + len(name.split()) :], parent=parent)  # raises for words that are wrong


def modules_after(code: str) -> set[str]:
    """The modules that are loaded when a command has run."""
    said = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize(
    "words",
    [["--help"], [*"--server http://127.0.0.1:1 --api-key k --state-dir /nowhere runs ls --state failed".split()]],
)
def test_a_command_starts_without_what_it_does_not_use(words: list[str]) -> None:
    """Imports are most of the time that a command takes."""
    argv = ["gamekeeper", *words]
    loaded = modules_after(f"sys.argv = {argv}; from gamekeeper.cli.app import main; main()")
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "gamekeeper.domain.language", "websockets", "psutil", "pydantic"}
    if words == ["--help"]:
        assert not loaded & {"httpx", "gamekeeper.cli.runs", "ssl"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("runs lss", "No such command 'lss'; did you mean ls?"),
        ("instance schedule st", "No such command 'st'; did you mean set?"),
        ("nonsense", "No such command 'nonsense'."),
        ("instance ls --server x", "--server stands before the command, as in: root --server ... instance ls"),
        ("instance ls --serving x", "No such option: --serving"),
        ("key make a --role vie", "Invalid value for '--role': 'vie' is not one of"),
        ("runs ls --limit x", "Invalid value for '--limit': must be a whole number, got"),
        ("agent policy check /nowhere", "Usage: root agent policy check "),
    ],
)
def test_a_slip_is_told_with_what_to_type(words: str, told: str) -> None:
    done = CliRunner().invoke(build(), words.split())
    assert (done.exit_code, told in done.output) == (2, True), done.output


@pytest.mark.parametrize("words", ["runs show", "runs logs", "runs cancel"])
def test_a_variable_that_is_empty_names_no_run(words: str) -> None:
    done = CliRunner().invoke(build(), ["--server", "http://192.0.2.1:7380", "--api-key", "k", *words.split(), ""])
    assert str(done.exception).startswith("RUN is empty")
