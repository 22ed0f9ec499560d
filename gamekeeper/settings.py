"""Settings shared by the processes, read once from the environment (prefix ``GAMEKEEPER_``)."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class ProcessSettings(BaseSettings):
    """``temporal`` is HOST:PORT; empty leaves it to the SDK's own TEMPORAL_* variables."""

    model_config = SettingsConfigDict(env_prefix="GAMEKEEPER_", frozen=True)

    temporal: str = ""
    log_level: str = "INFO"


class DatabaseSettings(ProcessSettings):
    database: str = "sqlite+aiosqlite:///gamekeeper.db"


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"
