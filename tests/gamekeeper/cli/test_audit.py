"""The command that writes the operation log into a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gamekeeper.cli.audit import moment
from gamekeeper.errors import InvalidError
from tests.gamekeeper.cli.conftest import Command


async def test_the_log_goes_into_a_pipe_line_by_line(command: Command) -> None:
    await command.api.add_node("a")
    said = await command("audit", "--node", "a", "--since", "1h")
    assert [json.loads(line)["kind"] for line in said.lines] == ["node.created"]
    said = await command("audit", "--format", "csv", "--actor", "key:nobody")
    assert (said.code, len(said.lines)) == (0, 1), "the names of the columns"


async def test_what_the_server_refuses_is_told(command: Command) -> None:
    said = await command("audit", "--kind", "nodes")
    assert said.code != 0
    assert 'there is no kind of event "nodes"' in said.err


def test_a_time_is_one_or_so_long_ago() -> None:
    assert moment("2026-11-01T12:00:00Z") == "2026-11-01T12:00:00+00:00"
    assert moment("2026-11-01") == "2026-11-01T00:00:00+00:00"
    before, told = datetime.now(UTC), datetime.fromisoformat(moment("2d"))
    assert before <= told + timedelta(days=2, seconds=1)
    assert told + timedelta(days=2) <= datetime.now(UTC)
    for text in ("yesterday", "2026-13-01", "9999999999999999d", "-5m"):
        with pytest.raises(InvalidError, match="is no time"):
            moment(text)
