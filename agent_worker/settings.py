"""Settings of the agent process.

Read by hand rather than by pydantic-settings, whose imports would cost every node 3.4 MB for eight variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gamekeeper.errors import InvalidError

PREFIX = "GAMEKEEPER_AGENT_"


class AgentSettings(BaseModel):
    """``server`` is one address or several with commas between, tried in turn.

    ``temporal`` overrides the address that the server tells; ``compression`` is of logs and metrics.
    ``stop_containers``: a stop of the agent ends its containers too (``farewell.py``). ``simulate_tokens`` makes this
    process many simulated agents (``simulation.py``).
    """

    model_config = ConfigDict(frozen=True)

    server: str = "127.0.0.1:7381"
    token: str = ""
    token_file: Path | None = None
    state_dir: Path = Path("agent")
    policy_file: Path | None = None
    temporal: str = ""
    compression: Literal["", "gzip"] = ""
    engine: Literal["docker", "dummy"] = "docker"
    stop_containers: bool = False
    simulate_tokens: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AgentSettings:
        """From ``GAMEKEEPER_AGENT_*``. Raises InvalidError that names the variable."""
        names = {PREFIX + name.upper(): name for name in cls.model_fields}
        given = {names[key]: value for key, value in environment.items() if key in names and value}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error
