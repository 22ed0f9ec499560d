"""Arguments of a call that are checked before the call is made: templates in them are left for later."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.arguments import check_call
from gamekeeper.domain.language.declared_input import Arg
from gamekeeper.domain.language.problem import ProblemList

DECLARED = {
    "map": Arg(required=True),
    "players": Arg.model_validate({"type": "integer", "default": 8, "max": 64}),
    "note": Arg(required=False),
}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"map": "dm1"}, []),
        ({"map": "dm1", "players": 64}, []),
        ({"map": "${{ steps.a.outputs.map }}", "players": "${{ steps.a.outputs.count }}"}, []),
        ({}, [("args.map", "is required")]),
        ({"map": "dm1", "players": 65}, [("args.players", "65 is above max 64")]),
        ({"map": "dm1", "players": "many"}, [("args.players", 'must be an integer within 2^63, got "many"')]),
        ({"map": "dm1", "payers": 5}, [("args.payers", "no such argument")]),
        ({"players": 65, "payers": 5}, [("args.payers", ""), ("args.map", ""), ("args.players", "")]),
    ],
)
def test_what_is_known_of_a_call_is_checked(given: dict[str, Any], found: list[tuple[str, str]]) -> None:
    problems = ProblemList()
    check_call(DECLARED, given, problems)
    assert [problem.path for problem in problems.problems] == [path for path, _ in found]
    for problem, (_, message) in zip(problems.problems, found, strict=True):
        assert problem.message.startswith(message)
