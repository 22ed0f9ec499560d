"""Settings of the api process."""

from __future__ import annotations

from pathlib import Path

from gamekeeper.settings import DatabaseSettings


class ApiSettings(DatabaseSettings):
    """Everything binds to loopback unless told otherwise.

    ``temporal_for_agents`` is the address that agents are told, where it differs from our own.
    ``cancel_is_pushed`` says that the Temporal server pushes cancels to workers (the embedded one does).
    """

    rest_host: str = "127.0.0.1"
    rest_port: int = 7380
    grpc_host: str = "127.0.0.1"
    grpc_port: int = 7381
    logs_dir: Path = Path("logs")
    admin_key: str = ""
    admin_key_file: Path | None = None
    temporal_for_agents: str = ""
    cancel_is_pushed: bool = False
    node_wait_seconds: float = 600.0
    heartbeat_ms: int = 2000
    lease_ms: int = 8000
