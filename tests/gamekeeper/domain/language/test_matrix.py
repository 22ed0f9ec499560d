"""The cells of a matrix."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.matrix import expand
from gamekeeper.errors import InvalidError, SpecError
from tests.factories import make_pipeline


@pytest.mark.parametrize(
    ("matrix", "cells"),
    [
        (
            {"a": [1, 2], "b": ["x", "y"]},
            [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}],
        ),
        ({"a": [1, 2], "exclude": [{"a": 1}]}, [{"a": 2}]),
        ({"a": [1, 2], "b": [3], "exclude": [{"a": 1, "b": 4}]}, [{"a": 1, "b": 3}, {"a": 2, "b": 3}]),
        ({"a": [1, 2], "include": [{"a": 2, "big": True}]}, [{"a": 1}, {"a": 2, "big": True}]),
        ({"a": [1], "include": [{"color": "red"}]}, [{"a": 1, "color": "red"}]),
        ({"a": [1], "include": [{"a": 7, "b": 8}]}, [{"a": 1}, {"a": 7, "b": 8}]),
        ({"include": [{"a": 1}, {"a": 2}]}, [{"a": 1}, {"a": 2}]),
        ({"a": list(range(256))}, [{"a": n} for n in range(256)]),
    ],
)
def test_cells(matrix: dict[str, Any], cells: list[dict[str, Any]]) -> None:
    assert expand(matrix) == cells


@pytest.mark.parametrize(
    ("matrix", "part"),
    [
        ({"a": list(range(30)), "b": list(range(40))}, "matrix expands to 1,200 cells; the limit is 256"),
        ({"a": list(range(256)), "include": [{"a": 999}]}, "expands to 257 cells"),
        ({name: list(range(256)) for name in "abcdefgh"}, r"matrix expands to 18,446,744,073,709,551,616 cells"),
        ({"a": []}, "the matrix has no cells"),
        ({"a": [1], "exclude": [{"a": 1}]}, "the matrix has no cells"),
        ({}, "the matrix has no cells"),
        ({"a": 5}, 'matrix.a must be a list, got "5"'),
        ({"a": [1], "include": 5}, "matrix.include must be a list of mappings"),
    ],
)
def test_what_is_no_matrix(matrix: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidError, match=part):
        expand(matrix)


def test_a_cell_is_tried_out_without_what_only_its_run_can_know() -> None:
    environment = {"N": "${{ matrix.n }}", "X": "${{ steps.a.outputs.x }}"}
    step = {"name": "b", "matrix": {"n": [1]}, "container": {"image": "image", "environment": environment}}
    assert make_pipeline({"name": "a", "outputs": ["x"]}, step).steps[1].spec.environment == environment


def test_a_matrix_is_tried_out_at_submission() -> None:
    container = {"image": "image", "ports": ["${{ matrix.port }}:80"]}
    with pytest.raises(SpecError) as caught:
        make_pipeline({"name": "a", "matrix": {"port": [80, 99999]}, "container": container})
    assert 'in the cell port=99999: ports[0]: "99999:80": port 99999 is above 65535' in caught.value.problems[0].message
    with pytest.raises(SpecError, match="1,200 cells"):
        make_pipeline({"name": "a", "matrix": {"x": "${{ range(30) }}", "y": "${{ range(40) }}"}})
    later = make_pipeline(
        {"name": "a", "outputs": ["list"]},
        {"name": "b", "matrix": {"x": "${{ from_json(steps.a.outputs.list) }}"}, "max_parallel": 2, "fail_fast": False},
    ).steps[1]
    assert (later.matrix, later.max_parallel, later.fail_fast) == (
        {"x": "${{ from_json(steps.a.outputs.list) }}"},
        2,
        False,
    )
