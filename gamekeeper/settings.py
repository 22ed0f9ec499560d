"""Settings shared by the processes, read once from the environment (prefix ``GAMEKEEPER_``).

``docs/settings.md`` is written from the descriptions: each says the unit, and why the default is what it is.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProcessSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GAMEKEEPER_", frozen=True)

    temporal: str = Field(
        default="",
        description="Temporal's address as HOST:PORT. Empty leaves it to the SDK's own `TEMPORAL_*` variables, which "
        "also know TLS and API keys.",
    )
    log_level: str = Field(
        default="INFO",
        description="DEBUG, INFO, WARNING or ERROR, of the process's own log on standard error. INFO tells of changes "
        "and troubles alone, so its size does not grow with the load.",
    )


class DatabaseSettings(ProcessSettings):
    database: str = Field(
        default="sqlite+aiosqlite:///gamekeeper.db",
        description="URL of the database, for SQLAlchemy: `sqlite+aiosqlite:///PATH` or `postgresql+psycopg://...`. "
        "SQLite needs no server, and is enough for one machine; the api and the control worker must share it.",
    )
