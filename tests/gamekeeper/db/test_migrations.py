"""A database of the version before keeps its data through the migration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, text

from gamekeeper.db.migrate import alembic_config, sync_url, upgrade
from gamekeeper.errors import UnavailableError

NODE = """INSERT INTO nodes (id, name, description, location, labels, mode, status, hardware, system, capacity,
          agent_version, epoch, version, created_at, updated_at)
          VALUES ('vm', 'vm', '', '', '{}', 'active', 'online', '{}', '{}', '{}', '0.1.0', 3, 1, :at, :at)"""
RUN = """INSERT INTO runs (id, pipeline, state, message, labels, args, source, resolved, version, started_workflow,
         request_hash, created_at) VALUES ('r1', 'hello', 'succeeded', '', '{}', '{}', '', '{}', 2, :yes, '', :at)"""
EVENT = """INSERT INTO run_events (run_id, step, state, reason, message, at)
           VALUES ('r1', :step, :state, :reason, 'said', :at)"""
AT = "2026-11-23 10:00:00+00:00"


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """A database at revision 0001 with a node, a run and its events."""
    url = f"sqlite:///{tmp_path}/old.db" if "sqlite" in database_url else sync_url(database_url)
    engine = create_engine(url)
    if "sqlite" not in database_url:
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), "base")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    with engine.begin() as connection:
        connection.execute(text(NODE), {"at": AT})
        connection.execute(text(RUN), {"at": AT, "yes": True})
        for step, state, reason in (("", "running", None), ("s", "failed", "exit_code"), ("", "succeeded", None)):
            connection.execute(text(EVENT), {"step": step, "state": state, "reason": reason, "at": AT})
    yield engine
    engine.dispose()


def test_events_of_runs_become_events(old: Engine) -> None:
    upgrade(old.url.render_as_string(hide_password=False))
    with old.connect() as connection:
        rows = connection.execute(text("SELECT seq, kind, run, step, reason, message FROM events ORDER BY seq")).all()
        assert [tuple(row)[1:] for row in rows] == [
            ("run.running", "r1", "", "", "said"),
            ("step.failed", "r1", "s", "exit_code", "said"),
            ("run.succeeded", "r1", "", "", "said"),
        ]
        assert [row.seq for row in rows] == sorted(row.seq for row in rows)
        node = connection.execute(text("SELECT epoch, inventory, capacity_override, conditions FROM nodes")).one()
    assert node.epoch == 3
    assert [str(value).replace(" ", "") for value in node[1:]] == ["{}", "{}", "[]"]


def test_the_way_back_is_open(old: Engine) -> None:
    upgrade(old.url.render_as_string(hide_password=False))
    with old.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    with old.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM nodes")).scalar_one() == 1


def test_a_database_that_can_not_be_opened_is_told_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the database does not take its schema"):
        upgrade(f"sqlite+aiosqlite:///{tmp_path}/missing/gamekeeper.db")
