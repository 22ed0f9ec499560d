"""Warnings: words of a pipeline that are right and yet probably not meant. They stop nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gamekeeper.domain.language.placed_step import Placed
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.step import Lifetime

_VARIABLE = re.compile(r"(?<!\$)\$(?:\{([A-Za-z_]\w*)[^}{]*\}|([A-Z_][A-Z0-9_]*)\b)")
_ESCAPED = re.compile(r"\$\$(?=[A-Za-z_{])")
_SHELL = re.compile(r"(?:\S*/)?(?:sh|ash|bash|dash|zsh)")
_SCRIPTS = ("commands",)  # which a shell reads
_NOT_THERE = "nothing is filled in from the environment of a machine"


def find_warnings(document: Any, placed: list[Placed], problems: ProblemList) -> None:
    """Adds the warnings of a pipeline that has no problem."""
    needed = {need for item in placed for need in item.needs}
    for item in placed:
        step = item.step
        if step.lifetime is None and item.lifetime is Lifetime.RUN and step.name not in needed:
            message = f'service "{step.name}" is needed by no step and ends with the run'
            problems.warn((*item.path, "name"), "lifetime", message, 'write "lifetime: node" to keep it up')
        if step.container is not None:
            raw = document[item.path[0]][item.path[1]]["container"]
            _check_container(raw, (*item.path, "container"), set(document.get("envs") or []), problems)


def _check_container(container: Mapping[str, Any], path: Path, envs: set[str], problems: ProblemList) -> None:
    environment = container.get("environment")
    if isinstance(environment, list):
        for index, text in enumerate(environment):
            if isinstance(text, str) and "=" not in text and text not in envs:
                message = f"{text} has no value and is not in envs, so it is not set; {_NOT_THERE}"
                problems.warn((*path, "environment", index), "environment", message, f"write {text}=VALUE")
    for where, text, shell in _texts(container, path):
        variable = None if shell else _VARIABLE.search(text)
        if variable is not None:
            name = variable.group(1) or variable.group(2)
            message = f'"{variable.group()}" stays as it is written; {_NOT_THERE}'
            problems.warn(where, "interpolation", message, f"declare args or envs, and write ${{{{ envs.{name} }}}}")
        if _ESCAPED.search(text):
            message = '"$$" stays two dollar signs; only ${{ }} has a meaning here'
            problems.warn(where, "interpolation", message, "write one $")


def _texts(value: Any, path: Path, *, shell: bool = False) -> Iterator[tuple[Path, str, bool]]:
    """Every text with its place, and whether a shell reads it: there ``$NAME`` means what it says."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _SCRIPTS:
                yield from _texts(item, (*path, key), shell=key == "test" and isinstance(item, str))
    elif isinstance(value, list):
        words = [str(item) for item in value]
        is_shell = words[:1] == ["CMD-SHELL"] or (
            any(_SHELL.fullmatch(word) for word in words) and any(re.fullmatch("-[a-z]*c", word) for word in words)
        )
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index), shell=is_shell)
    elif isinstance(value, str):
        words = value.split()
        yield path, value, shell or any(_SHELL.fullmatch(word) for word in words[:1])
