"""The scalars of the language: what each takes, to the edge of its range, and what it says of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gamekeeper.domain.language.container import Cpus, Words
from gamekeeper.domain.language.source import Plain
from gamekeeper.domain.language.values import INT64_MAX, Duration, Flag, Pairs, Size, Text, Texts, Whole

TEMPLATE = "${{ args.a }}"


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (Text, "a", "a"),
        (Text, True, "true"),
        (Text, False, "false"),
        (Text, 5, "5"),
        (Text, 1.5, "1.5"),
        (Whole, Plain("0x10"), 16),
        (Whole, "12", 12),
        (Whole, INT64_MAX, INT64_MAX),
        (Whole, -INT64_MAX, -INT64_MAX),
        (Whole, TEMPLATE, TEMPLATE),
        (Flag, Plain("true"), True),
        (Flag, False, False),
        (Flag, TEMPLATE, TEMPLATE),
        (Duration, "5m", "5m"),
        (Duration, TEMPLATE, TEMPLATE),
        (Size, 512, "512"),
        (Size, "1g", "1g"),
        (Size, TEMPLATE, TEMPLATE),
        (Pairs, {"A": 1, "B": None, "C": True}, {"A": "1", "B": "", "C": "true"}),
        (Pairs, ["A=1", "B=x=y", "C", "D="], {"A": "1", "B": "x=y", "C": "", "D": ""}),
        (Texts, "a", ["a"]),
        (Texts, ["a", 5], ["a", "5"]),
        (Words, "sh -c 'echo hi'", ["sh", "-c", "echo hi"]),
        (Words, ["sh", 5], ["sh", "5"]),
        (Cpus, "0.01", "0.01"),
        (Cpus, 10_000, "10000"),
        (Cpus, TEMPLATE, TEMPLATE),
    ],
)
def test_what_is_read(kind: Any, value: Any, read: Any) -> None:
    found = TypeAdapter(kind).validate_python(value)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Text, [1], "must be text, got a list"),
        (Text, None, "must be text, got nothing"),
        (Text, float("inf"), "must be text, got a number"),
        (Whole, INT64_MAX + 1, "beyond 2^63"),
        (Whole, -INT64_MAX - 1, "beyond 2^63"),
        (Whole, True, "must be a whole number, got a boolean"),
        (Whole, 1.5, "must be a whole number, got a number"),
        (Whole, Plain("[]"), 'must be a whole number, got "[]"'),
        (Flag, "true", 'must be true or false, got "true"'),
        (Flag, 1, "must be true or false, got an integer"),
        (Flag, Plain("5"), "must be true or false, got an integer"),
        (Duration, {}, "must be text, got a mapping"),
        (Size, "1x", '"1x" is not a size'),
        (Size, "-1", "-1 is negative"),
        (Pairs, "A=1", 'must be a mapping or a list of KEY=VALUE, got "A=1"'),
        (Pairs, {"A": [1]}, "must be text, got a list"),
        (Words, "echo 'hi", "can't be split into words"),
        (Cpus, "0.009", "outside 0.01 to 10000"),
        (Cpus, "10000.1", "outside 0.01 to 10000"),
        (Cpus, "two", '"two" is not a number of CPUs'),
    ],
)
def test_what_is_refused(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert message in caught.value.errors()[0]["msg"]
