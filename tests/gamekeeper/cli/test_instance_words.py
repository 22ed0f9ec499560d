"""Instances in the words of the command line: options become the keys of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gamekeeper.cli.instance_words import Words, document, fields_of
from gamekeeper.errors import InvalidError


@pytest.mark.parametrize(
    ("words", "before", "expected"),
    [
        (Words(image="a:2"), {}, {"container": {"image": "a:2"}}),
        (
            Words(env=["A=1"], port=["1:2/udp"]),
            {"container": {"image": "a", "environment": ["B=2"], "ports": ["3:4"]}},
            {"container": {"image": "a", "environment": {"B": "2", "A": "1"}, "ports": ["1:2/udp"]}},
        ),
        (
            Words(memory="2g"),
            {"container": {"deploy": {"resources": {"limits": {"cpus": "1"}}}}},
            {"container": {"deploy": {"resources": {"limits": {"cpus": "1", "memory": "2g"}}}}},
        ),
        (Words(restart="on-failure:3"), {}, {"restart": {"policy": "on-failure", "attempts": "3"}}),
        (Words(restart="always"), {"restart": {"attempts": 2}}, {"restart": {"attempts": 2, "policy": "always"}}),
        (
            Words(stop_command="stop", ready_within="2m"),
            {"stop": {"grace": "9s"}},
            {"stop": {"grace": "9s", "command": "stop"}, "ready": {"within": "2m"}},
        ),
        (Words(), {"labels": {"a": "b"}}, {"labels": {"a": "b"}}),
    ],
)
def test_options_win_over_what_there_is(words: Words, before: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields_of(words, before) == expected


def test_values_of_a_file_stay_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "arena.yaml"
    file.write_text("container: {image: a, environment: {VERSION: 3.10, ON: true}, init: true, command: [1.20]}\n")
    found = document(file)["container"]
    assert found["environment"] == {"VERSION": "3.10", "ON": True}
    assert (found["init"], found["command"]) == (True, ["1.20"])
    assert document(file, keep_text=True) == {"yaml": file.read_text()}


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "arena.yaml"
    file.write_text("- image\n")
    with pytest.raises(InvalidError, match="is no instance"):
        document(file)
