"""Settings of the api process."""

from __future__ import annotations

from pathlib import Path

from gamekeeper.domain.node.metric import Retention
from gamekeeper.settings import DatabaseSettings


class ApiSettings(DatabaseSettings):
    """Everything binds to loopback unless told otherwise.

    ``temporal_for_agents`` is the address that agents are told, where it differs from our own.
    ``grpc_reflection`` lets tools like grpcurl list the node link's calls without its .proto.
    ``cancel_is_pushed`` says that the Temporal server pushes cancels to workers (the embedded one does).
    """

    rest_host: str = "127.0.0.1"
    rest_port: int = 7380
    grpc_host: str = "127.0.0.1"
    grpc_port: int = 7381
    grpc_reflection: bool = False
    logs_dir: Path = Path("logs")
    admin_key: str = ""
    admin_key_file: Path | None = None
    temporal_for_agents: str = ""
    cancel_is_pushed: bool = False
    node_wait_seconds: float = 600.0
    heartbeat_ms: int = 2000
    lease_ms: int = 8000
    metrics_ms: int = 5000
    log_bytes_per_second: int = 0
    events_keep_days: int = 90
    metrics_raw_hours: int = 1
    metrics_minute_days: int = 7
    metrics_hour_days: int = 90

    def retention(self) -> Retention:
        return Retention(
            self.metrics_raw_hours * 3600, self.metrics_minute_days * 86_400, self.metrics_hour_days * 86_400
        )
