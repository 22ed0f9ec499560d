"""The commands of join keys: what is wrong is said before anything is asked of a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gamekeeper.cli.agent import _kept_secret
from gamekeeper.cli.app import build
from gamekeeper.errors import InvalidError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["joins", "rm"], "name one join, or give --all"),
        (["joins", "rm", "3f2a-91bc-7d10-44e9", "--all"], "name one join, or give --all"),
        (["join-key", "make", "--capacity", "gpus=many"], "--capacity takes whole numbers"),
        (["join-key", "make", "--capacity", "gpus"], "is not KEY=VALUE"),
        (["join-key", "rm", "gkj_secret.PIN"], "this is the key itself"),
        (["join-key", "make", "--policy", "FILE"], "is not valid YAML"),
    ],
)
def test_wrong_words(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "policy.yaml").write_text("a: [")
    given = [str(tmp_path / "policy.yaml") if word == "FILE" else word for word in words]
    result = CliRunner().invoke(build(), ["--state-dir", str(tmp_path), *given])
    assert isinstance(result.exception, InvalidError)
    assert said in str(result.exception)


def test_the_next_program_reads_the_token_as_often_as_it_likes() -> None:
    path = Path(_kept_secret("gkj_secret.PIN"))
    try:
        assert [path.exists() and path.read_text() for _ in range(2)] == ["gkj_secret.PIN"] * 2
        assert os.get_inheritable(int(path.name))
    finally:
        os.close(int(path.name))
