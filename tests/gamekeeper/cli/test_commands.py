"""The table of commands: none is forgotten, and each says what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from gamekeeper import cli
from gamekeeper.cli.app import COMMANDS, GROUPS, build, root


def written_commands() -> Iterator[Callable[..., None]]:
    """Public functions of the package that are written as a command is: their first parameter is the context."""
    for info in pkgutil.iter_modules(cli.__path__):
        module = importlib.import_module(f"gamekeeper.cli.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_") or function is root:
                continue
            hints = list(inspect.get_annotations(function).values())
            if hints and hints[0] == "typer.Context":
                yield function


def test_every_command_that_is_written_is_registered_once() -> None:
    registered = [*COMMANDS.values(), *(function for group in GROUPS.values() for function in group.commands.values())]
    assert len(registered) == len(set(registered))
    assert set(written_commands()) <= set(registered)


@pytest.mark.parametrize(
    "name", ["", *COMMANDS, *(f"{name} {below}" for name in GROUPS for below in GROUPS[name].commands)]
)
def test_every_command_has_a_help(name: str) -> None:
    shown = CliRunner().invoke(build(), [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


def test_the_help_names_every_command_in_the_order_of_the_table() -> None:
    shown = CliRunner().invoke(build(), ["--help"]).output
    places = [shown.index(f"│ {name} ") for name in [*COMMANDS, *GROUPS]]
    assert places == sorted(places)


@pytest.mark.parametrize("module", ["gamekeeper.domain.language", "pydantic_settings", "sqlalchemy", "temporalio"])
def test_the_command_starts_without_what_most_commands_do_not_use(module: str) -> None:
    """Imports are most of the time that a command takes."""
    code = f"import sys, gamekeeper.cli.app; print('{module}' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
