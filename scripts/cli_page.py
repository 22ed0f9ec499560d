"""Renders docs/cli.md, the page of all commands, from what their `--help` shows."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from gamekeeper.cli.app import build

HEAD = """\
# Every command

Written by `make pages` from the commands; `gamekeeper COMMAND --help` shows the same. After `make up` the command is
`.venv/bin/gamekeeper`. Options of `gamekeeper` itself stand before the command: `gamekeeper --server URL runs ls`.
"""
WORDS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


def commands(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Each command below a group with the words that call it, in the order of the help; groups too."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield f"{words} {name}", command
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{words} {name}")
        for word, below in getattr(command, "below", {}).items():
            yield f"{words} {name} {word}", below
            yield from commands(below, f"{words} {name} {word}")


def render() -> str:
    root = typer.main.get_command(build())
    parts = [HEAD, "## `gamekeeper`", "", *_about(root), *_options(root), ""]
    for words, command in commands(root, "gamekeeper"):
        level = "#" * (1 + words.count(" "))
        if hasattr(command, "list_commands"):
            parts += [f"{level} `{words}`", "", *_about(command)]
        else:
            parts += [f"{level} `{words}`", "", *_about(command), "```sh", _usage(words, command), "```", ""]
            parts += [*_arguments(command), *_options(command), *_examples(command)]
    return "\n".join(parts).rstrip() + "\n"


def _about(command: Any) -> list[str]:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "").replace("\f", "")
    return [text, ""] if text else []


def _usage(words: str, command: Any) -> str:
    shown = [_argument(param) for param in _shown(command, "argument")]
    return " ".join([words, "[OPTIONS]", *shown] if _shown(command, "option") else [words, *shown])


def _argument(param: Any) -> str:
    name = (param.metavar or param.name).strip("{}").upper() + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def _shown(command: Any, kind: str) -> list[Any]:
    is_argument = kind == "argument"
    return [
        param
        for param in command.params
        if type(param).__name__.endswith("Argument") == is_argument
        and not getattr(param, "hidden", False)
        and param.name != "help"
    ]


def _arguments(command: Any) -> list[str]:
    told = [(f"`{_argument(param)}`", param.help) for param in _shown(command, "argument") if param.help]
    return [*(f"- {name}: {_cell(text)}" for name, text in told), *([""] if told else [])]


def _options(command: Any) -> list[str]:
    found = _shown(command, "option")
    if not found:
        return []
    rows = [f"| {_names(param)} | {_meaning(param)} |" for param in found]
    return ["| option | meaning |", "| --- | --- |", *rows, ""]


def _names(param: Any) -> str:
    value = "" if _is_flag(param) else f" {param.metavar or _type_words(param.type_descriptor.annotation)}"
    return ", ".join(f"`{name}{value}`" for name in [*param.opts, *param.secondary_opts])


def _is_flag(param: Any) -> bool:
    return bool(getattr(param, "is_flag", False)) or param.type_descriptor.annotation is bool


def _type_words(annotation: Any) -> str:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        return _type_words(next(part for part in typing.get_args(annotation) if part is not types.NoneType))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(member.value) for member in annotation)
    return WORDS.get(getattr(annotation, "__name__", ""), "VALUE")


def _meaning(param: Any) -> str:
    text = _cell(param.help or "")
    if param.required:
        text += " (required)"
    elif not _is_flag(param) and isinstance(param.default, str | int | float) and param.default != "":
        text += f" (default: `{param.default.value if isinstance(param.default, Enum) else param.default}`)"
    if isinstance(param.envvar, str):
        text += f" (variable `{param.envvar}`)"
    return text


def _examples(command: Any) -> list[str]:
    lines = inspect.cleandoc((command.epilog or "").replace("\b", "")).splitlines()
    if not lines:
        return []
    shown = [line.strip() for line in lines if line.strip() and line.strip() != "Examples:"]
    return ["```sh", *shown, "```", ""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
