"""The cells of a matrix: every combination of its axes, less ``exclude``, more ``include``, as in GitHub Actions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from gamekeeper.errors import InvalidError

MAX_CELLS = 256
SPECIAL = ("include", "exclude")
Cell = dict[str, Any]


def expand(matrix: Mapping[str, Any]) -> list[Cell]:
    """The cells in the order of the axes, the last one turning fastest. Raises InvalidError that names the fault."""
    axes = {name: _list(name, values) for name, values in matrix.items() if name not in SPECIAL}
    _check_count(math.prod(len(values) for values in axes.values()))
    combinations = itertools.product(*axes.values()) if axes else ()
    cells = [dict(zip(axes, combination, strict=True)) for combination in combinations]
    excluded = _entries("exclude", matrix.get("exclude", []))
    cells = [cell for cell in cells if not any(_matches(entry, cell) for entry in excluded)]
    for entry in _entries("include", matrix.get("include", [])):
        _include(entry, cells, axes)
    if not cells:
        raise InvalidError("the matrix has no cells", hint="give each axis at least one value, or use if")
    _check_count(len(cells))
    return cells


def _check_count(count: int) -> None:
    if count > MAX_CELLS:
        raise InvalidError(f"matrix expands to {count:,} cells; the limit is {MAX_CELLS}")


def _list(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise InvalidError(f'matrix.{name} must be a list, got "{values}"')
    return values


def _entries(name: str, entries: Any) -> list[Cell]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidError(f"matrix.{name} must be a list of mappings")
    if len(entries) > MAX_CELLS:
        raise InvalidError(f"matrix.{name} has {len(entries):,} entries; the limit is {MAX_CELLS}")
    return entries


def _matches(entry: Cell, cell: Cell) -> bool:
    return all(name in cell and cell[name] == value for name, value in entry.items())


def _include(entry: Cell, cells: list[Cell], axes: Mapping[str, list[Any]]) -> None:
    """Adds to every cell that it contradicts in no axis; where there is none, it is a cell of its own."""
    on_axes = {name: value for name, value in entry.items() if name in axes}
    fitting = [cell for cell in cells if axes and set(axes) <= set(cell) and _matches(on_axes, cell)]
    for cell in fitting:
        cell.update(entry)
    if not fitting:
        cells.append(dict(entry))


def describe(cell: Mapping[str, Any]) -> str:
    """The cell as text: ``seed=3, bots=16``."""
    return ", ".join(f"{name}={value}" for name, value in cell.items())
