"""Texts that once ended the process, filled its memory or took minutes: each is refused, with words and a place."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.problem import MAX_PROBLEMS
from gamekeeper.domain.language.resolve import validate
from gamekeeper.domain.language.shell_text import find_fault
from gamekeeper.domain.language.source import parse_text
from gamekeeper.errors import SpecError

HEAD = "version: 1\nname: a\n"
STEP = "steps:\n- name: s\n  container:\n    image: a\n"


def problems_of(text: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        validate(parse_text(text))
    return [f"{problem.code}: {problem.message}" for problem in refused.value.problems]


def lines(count: int, line: str) -> str:
    return "".join(line.format(number) for number in range(count))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 40_000, "too_deep: nested more than 64"),
        ("{a: " * 40_000, "too_deep: nested more than 64"),
        ("- " * 40_000, "too_deep: nested more than 64"),
        (HEAD + lines(90_000, "a{}: b\n"), "too_large: a list or mapping has over 5,000 entries"),
        (HEAD + STEP + lines(60_000, "    a{}: b\n"), "too_large: a list or mapping has over 5,000 entries"),
        (
            HEAD + STEP + "  matrix:\n    include:\n" + lines(30_000, "    - {{a: {}}}\n"),
            "too_large: a list or mapping has over 5,000 entries",
        ),
        (
            HEAD + STEP + "  matrix:\n    include:\n" + lines(300, "    - {{a: {}}}\n"),
            "matrix: matrix.include has 300 entries; the limit is 256",
        ),
        (HEAD + "schedule: [{cron: '" + "1," * 1000 + "2 * * * *'}]\n" + STEP, "cron: has 2009 characters"),
        (HEAD + STEP + "    shm_size: " + "9" * 400 + "\n", "size: "),
    ],
)
def test_refused(text: str, problem: str) -> None:
    assert [found for found in problems_of(text) if found.startswith(problem)] != []


@pytest.mark.parametrize(
    "text",
    [
        HEAD + lines(300, "a{}: b\n"),
        HEAD + "steps:\n" + lines(300, "- {{name: step{0}, needs: [stepx{0}], container: {{image: a}}}}\n"),
        HEAD + "steps:\n" + lines(300, "- {{name: s, container: {{image: a}}}}\n"),
        HEAD
        + STEP
        + '    command: ["'
        + "${{ " * 300
        + '"]\n    environment: {'
        + lines(300, "A{}: '${{{{ ',")
        + "}\n",
    ],
)
def test_of_very_many_problems_some_are_told(text: str) -> None:
    found = problems_of(text)
    assert len(found) == MAX_PROBLEMS + 1
    assert sum(problem == "too_many: there are more problems" for problem in found) == 1


@pytest.mark.parametrize("command", ["$(" * 50_000, "(" * 50_000, '`"' * 50_000, "${{ '" * 20_000])
def test_a_command_of_many_beginnings_is_read_once(command: str) -> None:
    assert find_fault(command) is None


def test_here_documents_in_one_another_are_bounded() -> None:
    fault = find_fault(lines(400, "$(cat <<A{}\n"))
    assert fault is not None
    assert fault.message == "here-documents stand in one another more than 8 deep"
