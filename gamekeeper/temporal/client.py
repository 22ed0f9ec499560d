"""Connects to Temporal: the address of the embedded server, or the SDK's own environment variables."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadCodec
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import KeepAliveConfig, RPCError, TLSConfig

from gamekeeper.backoff import Backoff
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.core_log import telemetry
from gamekeeper.tracing import tracing_enabled

log = get_logger(__name__)

# A router on the way may forget a connection and tell nobody: a poll would wait on it for the SDK's 45 s.
ALIVE = KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000)


@dataclass(frozen=True)
class GatewayTls:
    """A node's certificate and the roots that its gateway must show, as PEM; ``name`` is the gateway's in its own."""

    key: str
    chain: str
    roots: str
    name: str

    def config(self) -> TLSConfig:
        return TLSConfig(
            server_root_ca_cert=self.roots.encode(),
            domain=self.name,
            client_cert=self.chain.encode(),
            client_private_key=self.key.encode(),
        )


def _tracing() -> list[Interceptor]:
    from temporalio.contrib.opentelemetry import TracingInterceptor  # loaded only where somebody collects

    return [TracingInterceptor()]


@cache
def _runtime() -> Runtime:
    """One for the process: a worker takes a new client of its own runtime alone."""
    return Runtime(telemetry=telemetry())


async def connect(
    address: str | None = None,
    *,
    wait: timedelta = timedelta(seconds=60),
    gateway: GatewayTls | None = None,
    codec: PayloadCodec | None = None,
) -> Client:
    """A client for ``address``, or as TEMPORAL_* and the Temporal profile say (TLS and API keys included).

    With ``gateway`` the address is a gateway's, and nothing but the namespace comes from the environment. Waits up to
    ``wait`` for the server. Raises UnavailableError that names the address.
    """
    config = ClientConfig.load_client_connect_config()
    if gateway is not None:
        config = ClientConnectConfig(namespace=config.get("namespace", "default"), tls=gateway.config())
    if address:
        config["target_host"] = address
    target = config.get("target_host", "localhost:7233")
    runtime, converter = _runtime(), replace(pydantic_data_converter, payload_codec=codec)
    interceptors = _tracing() if tracing_enabled() else []
    deadline = asyncio.get_running_loop().time() + wait.total_seconds()
    backoff = Backoff(initial=0.1, maximum=2.0)
    while True:
        try:
            return await Client.connect(
                **config,
                data_converter=converter,
                runtime=runtime,
                interceptors=interceptors,
                keep_alive_config=ALIVE if gateway else KeepAliveConfig.default,
            )
        except (RuntimeError, RPCError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise UnavailableError(
                    f"Temporal at {target} does not answer", hint="start it, or check --temporal and TEMPORAL_*"
                ) from error
            if backoff.failures == 3:
                log.warning("Temporal at %s does not answer yet; trying on", target)
            await asyncio.sleep(backoff.next_delay())
