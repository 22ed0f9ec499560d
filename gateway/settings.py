"""Settings of the gateway process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gamekeeper.settings import PayloadSettings


class GatewaySettings(PayloadSettings):
    """The limits are for each node. They are far above what an agent needs, and far below what would cost others."""

    gateway_host: str = Field(
        default="127.0.0.1",
        description="Address that the Temporal gateway listens on. It may be open to the internet: each connection "
        "needs a node's certificate.",
    )
    gateway_port: int = Field(
        default=7382, ge=0, le=65535, description="TCP port of the Temporal gateway; 0 takes any free one."
    )
    gateway_certificate: Path = Field(
        default=Path("gateway.pem"),
        description="File with the gateway's certificate and those that lead from it to the root, as PEM. It is read "
        "again when it changes.",
    )
    gateway_key: Path = Field(default=Path("gateway.key"), description="File with the key of that certificate, as PEM.")
    gateway_roots: Path = Field(
        default=Path("roots.pem"),
        description="File with the roots that nodes' certificates must lead to, as PEM. It is read again when it "
        "changes.",
    )
    gateway_secret_file: Path = Field(
        default=Path("gateway.secret"),
        description="File with the secret that binds tasks to nodes, made where there is none. A lost one makes each "
        "step under way wait for its heartbeat timeout, and be handed out again.",
    )
    gateway_polls: int = Field(
        default=64,
        ge=1,
        description="Polls that one node may have open. An agent has 17 at most, and twice as many for a moment when "
        "it renews its certificate.",
    )
    gateway_calls: int = Field(
        default=64,
        ge=1,
        description="Other calls that one node may have open. Each may hold a message of 4 MiB in memory.",
    )
    gateway_calls_per_second: float = Field(
        default=200.0,
        gt=0,
        description="Calls a second of one node, with a burst of five seconds' worth. A step needs two and a beat "
        "every few seconds; a call costs the gateway about half a millisecond of CPU.",
    )
    gateway_bytes_per_second: float = Field(
        default=8_388_608.0,
        gt=0,
        description="Bytes a second that one node may send, with a burst of five seconds' worth. Results are a few "
        "KiB; the burst lets ten of the largest pass at once.",
    )
    gateway_metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="TCP port on loopback where Prometheus reads the gateway's counters; 0 is none. They name no node.",
    )
