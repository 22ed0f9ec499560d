"""Settings of the agent process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class AgentSettings(BaseSettings):
    """Read from ``GAMEKEEPER_AGENT_*``. ``temporal`` overrides the address that the server tells."""

    model_config = SettingsConfigDict(env_prefix="GAMEKEEPER_AGENT_", frozen=True)

    server: str = "127.0.0.1:7381"
    token: str = ""
    token_file: Path | None = None
    state_dir: Path = Path("agent")
    policy_file: Path | None = None
    temporal: str = ""
    engine: Literal["docker", "dummy"] = "docker"
    log_level: str = "INFO"
