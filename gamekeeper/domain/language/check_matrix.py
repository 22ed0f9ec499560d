"""Tries out a matrix whose lists are known at submission: a cell that can't run is told before anything starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.evaluation import as_environment, render_tree
from gamekeeper.domain.language.expressions import ExpressionError
from gamekeeper.domain.language.matrix import Cell, describe, expand
from gamekeeper.domain.language.metering import size
from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.language.problem import Path
from gamekeeper.domain.language.rendering import Rendering
from gamekeeper.errors import InvalidError


def try_cells(matrix: Any, container: Container | None, path: Path, rendering: Rendering) -> None:
    """Adds the problems of the matrix of the step at ``path``, or of the first cell that has a bad container."""
    problems = rendering.problems
    try:
        cells = expand(matrix)
    except InvalidError as error:
        problems.add((*path, "matrix"), "matrix", error.message, error.hint)
        return
    if container is None:
        return
    dumped = container.model_dump(exclude_unset=True)
    before = len(problems.problems)
    for cell in cells:
        _try_cell(dumped, cell, (*path, "container"), rendering)
        if len(problems.problems) > before:
            return  # the others have the same problem


def _try_cell(dumped: dict[str, Any], cell: Cell, path: Path, rendering: Rendering) -> None:
    rendering.values.budget.left -= size(dumped)  # each cell is a container to look at
    try:
        rendered = render_tree(dumped, replace(rendering.values, matrix=cell), static_only=True)
        rendered["environment"] = as_environment(dumped.get("environment", {}), rendered.get("environment", {}))
        Container.model_validate(rendered)
    except (ExpressionError, ValidationError) as error:
        reason = first_words(error) if isinstance(error, ValidationError) else error.message
        rendering.problems.add(path, "matrix", f"in the cell {describe(cell)}: {reason}")
