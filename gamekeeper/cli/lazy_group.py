"""A group of commands that imports one when it is typed: imports are most of the time that a command takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from gamekeeper.cli.examples import EXAMPLES
from gamekeeper.cli.light_params import LightCommand

SETTINGS = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Command:
    """A function below ``gamekeeper.cli`` as ``module:name``. ``summary`` is the first sentence of its docstring, where
    a help is to import nothing. ``below`` are groups whose word may follow it in the place of its options."""

    path: str
    summary: str = ""
    below: Mapping[str, Group] = field(default_factory=dict)

    def load(self) -> Callable[..., None]:
        module, _, name = self.path.partition(":")
        function: Callable[..., None] = getattr(importlib.import_module(f"gamekeeper.cli.{module}"), name)
        return function


@dataclass(frozen=True)
class Group:
    """Commands below one word, as ``ls`` of ``gamekeeper node ls``; or below two, as of ``gamekeeper instance
    schedule ls``."""

    summary: str
    commands: Mapping[str, Command | Group]


class _LightCommand(LightCommand, TyperCommand):
    """A command of the product. ``below`` are the groups that stand below it."""

    below: Mapping[str, LazyGroup]

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        group = self.below.get(args[0]) if args else None
        if group is not None:
            return group.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        try:
            return super().make_context(info_name, args, parent=parent, **extra)
        except typer.TyperException as error:
            _tell_place(error, parent)
            raise


def _tell_meant(error: Any, typed: str, words: Iterable[str]) -> None:
    from difflib import get_close_matches

    if meant := get_close_matches(typed, words):
        error.message = f"{error.message.rstrip('.')}; did you mean {' or '.join(meant)}?"


def _tell_place(error: Any, parent: Any) -> None:
    """Says of an option of the whole command that it stands before the words of one of them."""
    option = getattr(error, "option_name", "")
    root = parent.find_root() if parent else None
    if root is not None and any(option in parameter.opts for parameter in root.command.params):
        error.message = f"{option} stands before the command, as in: {root.info_name} {option} ... {_words(error.ctx)}"
        error.possibilities = None


def _words(context: Any) -> str:
    return str(context.command_path).partition(" ")[2]


class LazyGroup(LightCommand, TyperGroup):
    """``table`` has a command or a group for each word; ``path`` are the words before it."""

    table: Mapping[str, Command | Group]
    path: str = ""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = self.table.get(cmd_name)
        if isinstance(entry, Group):
            return _group(f"{self.path} {cmd_name}".strip(), entry)
        return _command(f"{self.path} {cmd_name}".strip(), entry) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, which looks for the word that may have been meant in a list that is empty here."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            _tell_meant(error, args[0], self.table)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(entry)) for name, entry in self.table.items()])


def _summary(entry: Command | Group) -> str:
    if entry.summary or isinstance(entry, Group):
        return entry.summary
    return " ".join((entry.load().__doc__ or "").partition("\n\n")[0].split())


def _group(words: str, group: Group) -> LazyGroup:
    name = words.rpartition(" ")[2]
    made = LazyGroup(
        name=name, help=group.summary, no_args_is_help=True, context_settings=SETTINGS, rich_markup_mode=None
    )
    made.table, made.path = group.commands, words
    return made


def _command(words: str, command: Command) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    name = words.rpartition(" ")[2]
    alone.command(name, cls=_LightCommand, context_settings=SETTINGS, epilog=_epilog(EXAMPLES[words]))(command.load())
    made = get_command(alone)
    made.below = {word: _group(f"{words} {word}", group) for word, group in command.below.items()}  # type: ignore[attr-defined]
    return made


def _epilog(examples: str) -> str:
    """The lines as they are: the backspace tells the formatter to leave a paragraph alone."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())
