"""Values of options are read as Typer reads them, whichever way they took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

from gamekeeper.cli.light_params import LightCommand


class Light(LightCommand, TyperCommand):
    """The same command, light."""


def command(
    word: str,
    number: Annotated[int, typer.Option(min=1, max=9)] = 5,
    file: Path | None = None,
    flag: bool = False,
    switch: Annotated[bool | None, typer.Option("--on/--off")] = None,
    label: list[str] | None = None,
    rest: Annotated[list[str] | None, typer.Argument()] = None,
    variable: Annotated[str, typer.Option(envvar="LIGHT_WORD")] = "",
) -> None:
    """Print what was read."""
    typer.echo([word, number, file, flag, switch, label, rest, variable])


def said(cls: type[TyperCommand], words: list[str]) -> tuple[int, str]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("try", cls=cls)(command)
    done = CliRunner().invoke(app, words, env={"LIGHT_WORD": "from outside"})
    return done.exit_code, done.output


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "",
        "a --number 7",
        "a --file /tmp/x --flag",
        "a --on",
        "a --off b c",
        "a --label k=v --label w=x",
        "a --variable given",
        "a --nothing",
        "--help",
    ],
)
def test_it_reads_as_typer_does(line: str) -> None:
    assert said(Light, line.split()) == said(TyperCommand, line.split())


def test_it_reads_at_all() -> None:
    assert said(Light, "a --number 7 --label k=v b".split()) == (
        0,
        "['a', 7, None, False, None, ['k=v'], ['b'], 'from outside']\n",
    )


@pytest.mark.parametrize(
    ("value", "told"), [("0", '"0"; use a value at least 1'), ("x", 'must be a whole number, got "x"')]
)
def test_a_wrong_value_is_told_in_plain_words(value: str, told: str) -> None:
    code, output = said(Light, ["a", "--number", value])
    assert (code, output.splitlines()[-1]) == (2, f"Error: Invalid value for '--number': {told}")
