"""Settings shared by the processes, read once from the environment (prefix ``GAMEKEEPER_``).

``docs/settings.md`` is written from the descriptions: each says the unit, and why the default is what it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gamekeeper.domain.language.plain_words import plain_words
from gamekeeper.errors import InvalidError

PREFIX = "GAMEKEEPER_"


class ProcessSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    temporal: str = Field(
        default="",
        description="Temporal's address as HOST:PORT. Empty leaves it to the SDK's own `TEMPORAL_*` variables, which "
        "also know TLS and API keys.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="Of the process's own log on standard error. INFO tells of changes "
        "and troubles alone, so its size does not grow with the load.",
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Reads ``GAMEKEEPER_*``. Raises InvalidError that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "the settings"
            raise InvalidError(f"{name}: {plain_words(first)}", hint="docs/settings.md has every setting") from error


class DatabaseSettings(ProcessSettings):
    database: str = Field(
        default="sqlite+aiosqlite:///gamekeeper.db",
        description="URL of the database, for SQLAlchemy: `sqlite+aiosqlite:///PATH` or `postgresql+psycopg://...`. "
        "SQLite needs no server, and is enough for one machine; the api and the control worker must share it.",
    )
    database_password: str = Field(
        default="",
        description="Password of the database's user, with any characters in it: in the URL, some would need escapes. "
        "Empty takes that of the URL.",
    )
    database_password_file: Path | None = Field(
        default=None,
        description="File with that password, which keeps it out of the environment; it stands before "
        "`DATABASE_PASSWORD`.",
    )

    @property
    def database_url(self) -> str:
        """The URL with the password in it. Raises InvalidError for a URL or a file that can't be read."""
        password = self._database_password()
        if not password:
            return self.database
        try:
            url = make_url(self.database)
        except ArgumentError as error:
            raise InvalidError(
                "GAMEKEEPER_DATABASE is no URL", hint="as postgresql+psycopg://USER@HOST/NAME"
            ) from error
        return url.set(password=password).render_as_string(hide_password=False)

    def _database_password(self) -> str:
        if self.database_password_file is None:
            return self.database_password
        try:
            return self.database_password_file.read_text().rstrip("\r\n")
        except OSError as error:
            raise InvalidError(
                f"the password of the database can't be read: {error}", hint="check GAMEKEEPER_DATABASE_PASSWORD_FILE"
            ) from error


class PayloadSettings(DatabaseSettings):
    """Of the processes that read and write Temporal's payloads: api, control worker and gateway."""

    payload_keys: Path = Field(
        default=Path("ca/payloads.key"),
        description="File with the keys that encrypt what goes through Temporal, the same for api, control worker and "
        "gateway. The api makes it, and it is read again when it changes. Keep it in backups, apart from Temporal's "
        "database: without it, runs that go on stand still ([payload encryption](payload-encryption.md)).",
    )
