"""A group of commands that imports one when it is typed: imports are most of the time that a command takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from gamekeeper.cli.examples import EXAMPLES

SETTINGS = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Command:
    """A function below ``gamekeeper.cli`` as ``module:name``. ``summary`` is the first sentence of its docstring, where
    a help is to import nothing."""

    path: str
    summary: str = ""

    def load(self) -> Callable[..., None]:
        module, _, name = self.path.partition(":")
        function: Callable[..., None] = getattr(importlib.import_module(f"gamekeeper.cli.{module}"), name)
        return function


@dataclass(frozen=True)
class Group:
    """Commands below one word, as ``ls`` of ``gamekeeper node ls``."""

    summary: str
    commands: Mapping[str, Command]


class LazyGroup(TyperGroup):
    """``table`` has a command or a group for each word; ``path`` are the words before it."""

    table: Mapping[str, Command | Group]
    path: str = ""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = self.table.get(cmd_name)
        if isinstance(entry, Group):
            return _group(cmd_name, entry)
        return _command(f"{self.path} {cmd_name}".strip(), entry) if entry else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(entry)) for name, entry in self.table.items()])


def _summary(entry: Command | Group) -> str:
    if entry.summary or isinstance(entry, Group):
        return entry.summary
    return " ".join((entry.load().__doc__ or "").partition("\n\n")[0].split())


def _group(name: str, group: Group) -> LazyGroup:
    made = LazyGroup(
        name=name, help=group.summary, no_args_is_help=True, context_settings=SETTINGS, rich_markup_mode=None
    )
    made.table, made.path = group.commands, name
    return made


def _command(words: str, command: Command) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    name = words.rpartition(" ")[2]
    alone.command(name, context_settings=SETTINGS, epilog=_epilog(EXAMPLES[words]))(command.load())
    return get_command(alone)


def _epilog(examples: str) -> str:
    """The lines as they are: the backspace tells the formatter to leave a paragraph alone."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())
