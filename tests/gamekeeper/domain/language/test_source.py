"""Reading text: positions, what stays as written, and hostile input."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.source import Plain, core_value, parse_text
from gamekeeper.errors import SpecError


def test_positions_are_those_of_the_keys() -> None:
    document = parse_text("a: 1\nb:\n  - c: 2\n  - d\n")
    assert document.positions[("b",)] == (2, 1)
    assert document.positions[("b", 0, "c")] == (3, 5)
    assert document.positions[("b", 1)] == (4, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("0x1f", 31),
        ("1.5", 1.5),
        ("no", "no"),
        ("1:30", "1:30"),
        ("0o17", 15),
        ("-07", -7),
        ("1e3", 1000.0),
        ("9" * 100, int("9" * 100)),
        ("9" * 101, float("9" * 101)),
    ],
)
def test_core_types(text: str, value: object) -> None:
    assert core_value(Plain(text)) == value


def test_quoted_text_is_text() -> None:
    assert core_value(parse_text('a: "12"').value) == {"a": "12"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 20_000 + "]" * 20_000, "nested more than 64"),
        ("x" * (1024 * 1024 + 1), "over 1024 KiB"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{n}: &{n} [*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "over 100000 values",
        ),
        ("a: \x01", "not valid YAML"),
        ("{1: 2}: 3", "a key must be a plain word"),
        ("a: *b", "not valid YAML"),
        ("%YAML 9.9\n---\na: b\n...\nx", "not valid YAML"),
        ("a: b\nc: \ud800", "half of a surrogate pair"),
    ],
    ids=["deep", "large", "billion laughs", "control", "key", "alias", "stream", "half a pair"],
)
def test_hostile_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_text(text)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: [1\nb: 2\n", 2, 2),
        ("a: b: c", 1, 5),
        ("a: {b: 1, b: 2}", 1, 11),
        ("[" * 66 + "]" * 66, 1, 66),
        ("", 1, 1),
        ("a: [1", 1, 1),
        ("a: [\n\n\n", 1, 1),
        ("x" * (1024 * 1024 + 1), 0, 0),
        ("a: \x01", 0, 0),
    ],
    ids=["bracket", "colon", "twice", "deep", "empty", "end", "blank end", "large", "control"],
)
def test_a_mistake_of_yaml_stands_at_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(SpecError) as caught:
        parse_text(text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert not problem.message.endswith("None")


def test_values_may_be_nested_64_deep() -> None:
    value = parse_text("[" * 65 + "]" * 65).value
    for _ in range(64):
        (value,) = value
    assert value == []


def test_a_text_as_large_as_its_limit_is_read() -> None:
    assert parse_text("x" * (1024 * 1024)).value == "x" * (1024 * 1024)


def test_an_alias_of_itself_is_refused() -> None:
    with pytest.raises(SpecError):
        parse_text("a: &a [*a]")
