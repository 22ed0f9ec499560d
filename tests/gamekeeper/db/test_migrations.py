"""A database of the version before keeps its data through the migration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, insert, select, text
from sqlmodel import col

from gamekeeper.db.migrate import alembic_config, sync_url, upgrade
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import UnavailableError

NODE = """INSERT INTO nodes (id, name, description, location, labels, mode, status, hardware, system, capacity,
          agent_version, epoch, version, created_at, updated_at)
          VALUES ('vm', 'vm', '', '', '{}', 'active', 'online', '{}', '{}', '{}', '0.1.0', 3, 1, :at, :at)"""
RUN = """INSERT INTO runs (id, pipeline, state, message, labels, args, source, resolved, version, started_workflow,
         request_hash, created_at) VALUES ('r1', 'hello', 'succeeded', '', '{}', '{}', '', '{}', 2, :yes, '', :at)"""
EVENT = """INSERT INTO run_events (run_id, step, state, reason, message, at)
           VALUES ('r1', :step, :state, :reason, 'said', :at)"""
AT, LATER = "2026-11-23 10:00:00+00:00", "2999-11-23 10:00:00+00:00"


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


def test_keys_of_before_stay_good_and_have_names_of_their_own(old: Engine) -> None:
    keys = [("a" * 64, "admin", "2026-11-23"), ("b" * 64, "admin", "2026-11-24"), ("c" * 64, "ci", "2026-11-22")]
    with old.begin() as connection:
        for key_hash, name, day in keys:
            made = {"hash": key_hash, "name": name, "at": f"{day} 10:00:00+00:00"}
            connection.execute(text("INSERT INTO api_keys VALUES (:hash, :name, :at)"), made)
    upgrade(old.url.render_as_string(hide_password=False))
    query = """SELECT s.key_hash, k.name, k.expires_at, k.revoked_at, s.good_until, k.is_given
               FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id ORDER BY s.key_hash"""
    with old.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
        ids = connection.execute(text("SELECT count(DISTINCT id) FROM api_keys")).scalar_one()
    assert rows == [
        ("a" * 64, "admin-2", None, None, None, True),
        ("b" * 64, "admin", None, None, None, True),
        ("c" * 64, "ci", None, None, None, True),
    ]
    assert ids == 3


def test_no_way_back_makes_an_ended_key_good(old: Engine) -> None:
    upgrade(old.url.render_as_string(hide_password=False))
    row = """INSERT INTO api_keys (id, name, role, is_given, created_by, created_at, expires_at, revoked_at,
             last_used_from) VALUES (:id, :id, :role, :no, '', :at, :expires, :revoked, '')"""
    secret = "INSERT INTO api_key_secrets VALUES (:hash, :id, :until, :at)"
    ends = {
        "good": (None, None, None),
        "expired": (AT, None, None),
        "revoked": (None, AT, None),
        "spent": (None, None, AT),
        "guest": (LATER, None, None),
        "earlier": (None, None, LATER),
        "bounded": (None, None, None),  # by its role, which the version before does not know
    }
    with old.begin() as connection:
        for name, (expires, revoked, until) in ends.items():
            role = "viewer" if name == "bounded" else "admin"
            fields = {"id": name, "role": role, "no": False, "at": AT, "expires": expires, "revoked": revoked}
            connection.execute(text(row), fields)
            connection.execute(text(secret), {"hash": name, "id": name, "until": until, "at": AT})
    with old.begin() as connection:
        command.downgrade(alembic_config(connection), "0017")
    with old.connect() as connection:
        assert [tuple(found) for found in connection.execute(text("SELECT key_hash, name FROM api_keys"))] == [
            ("good", "good")
        ]


def test_instances_are_in_the_groups_that_they_joined_by_an_update(old: Engine) -> None:
    url = old.url.render_as_string(hide_password=False)
    upgrade(url)
    with old.begin() as connection:
        for id_, before, now in (
            ("alone", "", None),
            ("joined", "", "shop"),
            ("left", "shop", None),
            ("gone", "", "shop"),
        ):
            made = InstanceRow(id=id_, node_id="n", revision=2, group=before)
            made.deleted_at = utc_now() if id_ == "gone" else None
            connection.execute(insert(InstanceRow), made.model_dump())
            for revision, group in enumerate(("shop", now), 1):
                row = InstanceRevisionRow(instance_id=id_, revision=revision, spec={"group": group})
                connection.execute(insert(InstanceRevisionRow), row.model_dump())
        command.downgrade(alembic_config(connection), "0031")
    upgrade(url)
    with old.connect() as connection:
        found = connection.execute(select(col(InstanceRow.id), col(InstanceRow.group)).order_by(col(InstanceRow.id)))
        groups = [tuple(row) for row in found]
    assert groups == [("alone", ""), ("gone", ""), ("joined", "shop"), ("left", "")]


def test_the_way_back_is_open(old: Engine) -> None:
    upgrade(old.url.render_as_string(hide_password=False))
    with old.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    with old.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM nodes")).scalar_one() == 1


def test_a_database_that_can_not_be_opened_is_told_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the database does not take its schema"):
        upgrade(f"sqlite+aiosqlite:///{tmp_path}/missing/gamekeeper.db")
