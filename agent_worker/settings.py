"""Settings of the agent process.

Read by hand rather than by pydantic-settings, whose imports would cost every node 3.4 MB for eight variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gamekeeper.domain.language.plain_words import plain_words
from gamekeeper.errors import InvalidError

PREFIX = "GAMEKEEPER_AGENT_"


class AgentSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    server: str = Field(
        default="127.0.0.1",
        description="The control plane as HOST or HOST:PORT of REST (7380); several with commas between are tried in "
        "turn. The agent is told there where the node link is.",
    )
    token: str = Field(
        default="",
        description="Enrolment token or join key. It is needed once: the node's key then stands in the state folder.",
    )
    token_file: Path | None = Field(
        default=None, description="File with the token or join key, which keeps it out of the environment."
    )
    rest_certificates: Path | None = Field(
        default=None,
        description="Folder with certificates that REST may show besides those of the CA, whatever name they are for. "
        "Set by `gamekeeper up` for the agents of its own machine.",
    )
    node: str = Field(
        default="",
        description="Name that stands for the machine's host name when it joins by a join key, as in a container.",
    )
    state_dir: Path = Field(
        default=Path("agent"),
        description="Folder of the node's key, its journal and its spool of logs. It must outlive the agent: a lost "
        "one is a new node.",
    )
    policy_file: Path | None = Field(
        default=None,
        description="File of the node's policy; `policy.yaml` in the state folder where none is named. Without a file "
        "the defaults of [the policy](node-policy.md) hold.",
    )
    temporal: str = Field(
        default="",
        description="Temporal's address as HOST:PORT, where the one that the server tells is not right here.",
    )
    payload_keys: Path | None = Field(
        default=None,
        description="File with the fleet's payload keys, for an agent that speaks to Temporal itself. None is right "
        "behind a gateway, which encrypts for its nodes: whoever has the file reads what all nodes are given.",
    )
    compression: Literal["", "gzip"] = Field(
        default="",
        description="Compression of logs and metrics on their way. None, because it costs CPU that games need.",
    )
    engine: Literal["docker", "dummy"] = Field(
        default="docker", description="`dummy` makes containers up, for load tests and for work on user interfaces."
    )
    spool_bytes: int = Field(
        default=4 * 2**30,
        ge=1_048_576,
        description="Bytes of logs that wait here while the server takes none. Beyond it lines wait in Docker, which "
        "keeps the newest of each container: what is lost there is recorded.",
    )
    stop_containers: bool = Field(
        default=False,
        description="Ends the node's containers with the agent. Off, because an upgrade of the agent is no reason to "
        "end a game.",
    )
    simulate_tokens: Path | None = Field(
        default=None, description="File with a token a line: this process then is a made-up node for each."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Of the agent's own log on standard error."
    )

    @property
    def policy_path(self) -> Path:
        return self.policy_file or self.state_dir / "policy.yaml"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AgentSettings:
        """Reads ``GAMEKEEPER_AGENT_*``. Raises InvalidError that names the variable."""
        names = {PREFIX + name.upper(): name for name in cls.model_fields}
        given = {names[key]: value for key, value in environment.items() if key in names and value}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidError(f"{PREFIX}{str(first['loc'][0]).upper()}: {plain_words(first)}") from error

    @property
    def proc(self) -> Path:
        """The folder that tells who holds the machine's ports; of an engine that takes none of them, one that is not
        there."""
        return Path("/proc") if self.engine == "docker" else self.state_dir / "no-proc"
