"""The way back in on the machine of the stack, on a real database."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from gamekeeper.db.engine import Database
from gamekeeper.db.models import OidcCodeRow, PasskeyRow, SessionRow
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError
from gamekeeper.passwords import is_password
from gamekeeper.stack.layout import Ports, StateDir
from gamekeeper.stack.recovery import recover


@pytest.fixture
def state(tmp_path: Path, migrated_sqlite: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.prepare()
    record = made.load()
    record.ports = Ports(rest=1, grpc=2, temporal=3, temporal_ui=4)
    made.save(record)
    shutil.copy(migrated_sqlite, made.root / "gamekeeper.db")
    return made


def engine(state: StateDir) -> Engine:
    return create_engine(f"sqlite:///{state.root / 'gamekeeper.db'}")


def one(state: StateDir, query: str) -> tuple[object, ...]:
    opened = engine(state)
    try:
        with opened.connect() as connection:
            return tuple(connection.execute(text(query)).one())
    finally:
        opened.dispose()


def test_where_there_is_no_user_an_admin_is_made(state: StateDir) -> None:
    found = recover(state, "")
    assert (found.name, found.role, found.is_new) == ("admin", "admin", True)
    kept, must_change = one(state, "SELECT password_hash, must_change FROM users")
    assert is_password(found.password, str(kept))
    assert must_change
    assert one(state, "SELECT kind, message, actor FROM events") == ("user.recovered", "admin", "system")
    assert found.password not in str(one(state, "SELECT data FROM events"))


def test_a_user_gets_a_new_password_and_its_sessions_end(state: StateDir) -> None:
    first = recover(state, "")
    user_id = str(one(state, "SELECT id FROM users")[0])

    async def sign_in_and_lock_out() -> None:
        database = Database(state.database_url)
        async with database.write() as session:
            session.add(SessionRow(user_id=user_id, token_hash="a" * 64))
            session.add(OidcCodeRow(code_hash="b" * 64, challenge="c" * 43, user_id=user_id))
            await (await session.connection()).execute(text("UPDATE users SET state = 'disabled'"))
        await database.close()

    asyncio.run(sign_in_and_lock_out())
    again = recover(state, "ADMIN")
    assert (again.name, again.is_new) == ("admin", False)
    kept, now = one(state, "SELECT password_hash, state FROM users")
    assert [is_password(password, str(kept)) for password in (first.password, again.password)] == [False, True]
    assert now == "active"
    assert one(state, "SELECT count(*) FROM sessions WHERE ended_at IS NULL") == (0,)
    assert one(state, "SELECT count(*) FROM oidc_codes") == (0,)


def test_passkeys_stay_unless_they_are_to_go(state: StateDir) -> None:
    recover(state, "")
    user_id = str(one(state, "SELECT id FROM users")[0])

    async def add_passkeys() -> None:
        database = Database(state.database_url)
        async with database.write() as session:
            for name in ("laptop", "phone"):
                row = PasskeyRow(user_id=user_id, credential_id=name, public_key=b"", rp_id="localhost", name=name)
                session.add(row)
        await database.close()

    asyncio.run(add_passkeys())
    recover(state, "admin")
    assert one(state, "SELECT count(*) FROM passkeys") == (2,)
    recover(state, "admin", removes_passkeys=True)
    assert one(state, "SELECT count(*) FROM passkeys") == (0,)
    assert one(state, "SELECT count(*) FROM events WHERE kind = 'passkey.removed' AND actor = 'system'") == (2,)
    assert "passkey" in str(one(state, "SELECT data FROM events ORDER BY seq DESC LIMIT 1"))


def test_a_name_is_needed_where_several_may_be_meant(state: StateDir) -> None:
    recover(state, "")
    opened = engine(state)
    with opened.begin() as connection:
        row = dict(connection.execute(text("SELECT * FROM users")).mappings().one())
        row |= {"id": "other", "name": "other", "name_key": "other", "name_looks": "other"}
        columns = ", ".join(row)
        connection.execute(text(f"INSERT INTO users ({columns}) VALUES (:{', :'.join(row)})"), row)
    opened.dispose()
    with pytest.raises(InvalidError, match="not just one admin"):
        recover(state, "")
    assert recover(state, "other").name == "other"
    with pytest.raises(NotFoundError, match="no user"):
        recover(state, "nobody")


def test_what_is_no_name_makes_nobody(state: StateDir) -> None:
    with pytest.raises(InvalidError, match="one word"):
        recover(state, "a b")


def test_a_database_of_another_version_is_left_alone(state: StateDir) -> None:
    opened = engine(state)
    with opened.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    opened.dispose()
    with pytest.raises(ConflictError, match="another version"):
        recover(state, "")


def test_a_folder_without_a_stack_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no stack was ever started"):
        recover(StateDir(tmp_path), "")
