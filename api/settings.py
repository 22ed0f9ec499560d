"""Settings of the api process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gamekeeper.domain.node.metric import Retention
from gamekeeper.settings import DatabaseSettings


class ApiSettings(DatabaseSettings):
    """Everything binds to loopback unless told otherwise."""

    rest_host: str = Field(
        default="127.0.0.1",
        description="Address that REST listens on. Loopback, because keys travel in plain text: put a proxy with TLS "
        "before it to open it.",
    )
    rest_port: int = Field(default=7380, description="TCP port of REST.")
    grpc_host: str = Field(
        default="127.0.0.1",
        description="Address that the node link listens on. Loopback, because it is not encrypted: open it on a "
        "private network or a VPN alone.",
    )
    grpc_port: int = Field(default=7381, description="TCP port of the node link; 0 takes any free one.")
    grpc_reflection: bool = Field(
        default=False,
        description="Lets tools like grpcurl list the node link's calls without its .proto. Off, because strangers "
        "need no map.",
    )
    logs_dir: Path = Field(
        default=Path("logs"),
        description="Folder of step logs, below the working directory unless absolute. Give it a disk of its own "
        "where logs are large: a full one stops nothing but logs.",
    )
    admin_key: str = Field(
        default="",
        description="API key that may do everything, 32 characters at least. Empty makes none; keys of earlier starts "
        "stay good.",
    )
    admin_key_file: Path | None = Field(
        default=None,
        description="File with the admin key, which keeps it out of the environment; it stands before `ADMIN_KEY`.",
    )
    temporal_for_agents: str = Field(
        default="",
        description="Temporal's address as agents are told it. Empty tells them ours, which is right unless they "
        "reach it by another way.",
    )
    cancel_is_pushed: bool = Field(
        default=False,
        description="Says that the Temporal server pushes cancels to workers, as the embedded one does. Off, because "
        "a server that does not would leave cancels waiting; agents then ask by heartbeats.",
    )
    node_wait_seconds: float = Field(
        default=600.0,
        description="Seconds that a step waits for a node that is away before it ends with an error. Ten minutes "
        "outlast a reboot.",
    )
    heartbeat_ms: int = Field(
        default=2000,
        description="Milliseconds between the heartbeats of an agent in a small fleet. The period grows to 5 s with a "
        "thousand nodes, so that the fleet's beats stay cheap.",
    )
    lease_ms: int = Field(
        default=8000,
        description="Milliseconds of silence after which a node is offline. Four heartbeats: one late and one lost "
        "are no loss yet.",
    )
    metrics_ms: int = Field(
        default=5000,
        description="Milliseconds between samples of nodes and containers. A shorter period shows more and costs each "
        "node CPU.",
    )
    log_bytes_per_second: int = Field(
        default=0,
        description="Bytes of logs a second that one node may send; 0 is no limit. Set it where logs share a thin "
        "line with players.",
    )
    events_keep_days: int = Field(
        default=90, description="Days that events are kept. A quarter, so that last season's changes can be looked up."
    )
    metrics_raw_hours: int = Field(
        default=1, description="Hours that samples are kept as they came. They are by far the most rows."
    )
    metrics_minute_days: int = Field(
        default=7, description="Days that means over a minute are kept: a week, to compare with the same day."
    )
    metrics_hour_days: int = Field(default=90, description="Days that means over an hour are kept, as long as events.")

    def retention(self) -> Retention:
        return Retention(
            raw=self.metrics_raw_hours * 3600,
            minutes=self.metrics_minute_days * 86_400,
            hours=self.metrics_hour_days * 86_400,
        )
