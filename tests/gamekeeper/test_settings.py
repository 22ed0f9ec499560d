"""The database's URL, put together from parts: a password of any characters reaches the driver as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from gamekeeper.db.migrate import sync_url
from gamekeeper.errors import InvalidError
from gamekeeper.settings import DatabaseSettings

PASSWORD = "p@ss:w/rd%20#?$'\" \\ü[]"
URL = "postgresql+psycopg://gamekeeper@postgres/gamekeeper"


def told_to_the_driver(url: str) -> dict[str, object]:
    parsed = make_url(url)
    arguments = parsed.get_dialect()().create_connect_args(parsed)
    return dict(arguments[1])


@pytest.mark.parametrize("of", [str, sync_url], ids=["asynchronous", "synchronous"])
def test_any_password_reaches_the_driver(of: type[str]) -> None:
    told = told_to_the_driver(of(DatabaseSettings(database=URL, database_password=PASSWORD).database_url))
    assert (told["user"], told["host"], told["dbname"]) == ("gamekeeper", "postgres", "gamekeeper")
    assert told["password"] == PASSWORD


def test_a_file_stands_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("GAMEKEEPER_DATABASE", URL)
    monkeypatch.setenv("GAMEKEEPER_DATABASE_PASSWORD", "another")
    monkeypatch.setenv("GAMEKEEPER_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert told_to_the_driver(DatabaseSettings().database_url)["password"] == PASSWORD


def test_a_url_with_its_own_password_stays_as_it_is() -> None:
    for url in ("sqlite+aiosqlite:///gamekeeper.db", "postgresql+psycopg://gk:a%40b@host/db"):
        assert DatabaseSettings(database=url).database_url == url


def test_what_can_not_be_read_is_told_without_the_password(tmp_path: Path) -> None:
    missing = DatabaseSettings(database=URL, database_password_file=tmp_path / "missing")
    with pytest.raises(InvalidError, match="GAMEKEEPER_DATABASE_PASSWORD_FILE"):
        _ = missing.database_url
    with pytest.raises(InvalidError, match="is no URL") as error:
        _ = DatabaseSettings(database="no url", database_password=PASSWORD).database_url
    assert PASSWORD not in str(error.value)
