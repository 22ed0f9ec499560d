"""Connects to Temporal: the address of the embedded server, or the SDK's own environment variables."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from temporalio.client import Client, Interceptor
from temporalio.converter import PayloadCodec
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import KeepAliveConfig, RPCError, TLSConfig

from gamekeeper.backoff import Backoff
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.core_log import telemetry
from gamekeeper.temporal.refused import CLOSED, explained, explained_of_gateway
from gamekeeper.temporal.sealed_payloads import data_converter
from gamekeeper.tracing import tracing_enabled

log = get_logger(__name__)

# A router on the way may forget a connection and tell nobody: a poll would wait on it for the SDK's 45 s.
ALIVE = KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000)
ATTEMPT_SECONDS = 10.0
CLOSED_SECONDS = 3.0


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


def connect_config(address: str = "") -> ClientConnectConfig:
    """The way to Temporal by TEMPORAL_* and the Temporal profile; at ``address``, unless that is empty.

    Raises InvalidError where they name a file that can't be read, or don't go together.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())  # the parser draws the place in lines
        raise InvalidError(f"TEMPORAL_* can't be used: {said}", hint="check them, and the Temporal profile") from error
    if address:
        config["target_host"] = address
    return config


async def connect(
    address: str | None = None,
    *,
    wait: timedelta = timedelta(seconds=60),
    gateway: GatewayTls | None = None,
    codec: PayloadCodec | None = None,
) -> Client:
    """A client for ``address``, or as TEMPORAL_* and the Temporal profile say (TLS and API keys included).

    With ``gateway`` the address is a gateway's, and nothing but the namespace comes from the environment. Waits up to
    ``wait`` for the server. Raises UnavailableError that names the address, and at once InvalidError or
    UnauthenticatedError for a way that does not become right by waiting.
    """
    config = connect_config(address or "")
    if gateway is not None:
        config = ClientConnectConfig(
            namespace=config.get("namespace", "default"), tls=gateway.config(), target_host=address or ""
        )
    target = config.setdefault("target_host", "localhost:7233")
    runtime, converter = _runtime(), data_converter(codec)
    interceptors = _tracing() if tracing_enabled() else []
    begun = asyncio.get_running_loop().time()
    deadline = begun + wait.total_seconds()
    backoff = Backoff(initial=0.1, maximum=2.0)
    while True:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):  # a server that takes the connection may say nothing
                return await Client.connect(
                    **config,
                    data_converter=converter,
                    runtime=runtime,
                    interceptors=interceptors,
                    keep_alive_config=ALIVE if gateway else KeepAliveConfig.default,
                )
        except TimeoutError:
            trouble: GamekeeperError = UnavailableError(
                f"Temporal at {target} does not answer: silence for {ATTEMPT_SECONDS:.0f} s",
                hint="is it frozen, or another service?",
            )
        except (RuntimeError, RPCError, ValueError, OSError) as error:
            trouble = explained_of_gateway(error, target) if gateway else explained(error, target, config)
        now = asyncio.get_running_loop().time()
        if trouble.code == CLOSED and now - begun > CLOSED_SECONDS:
            raise InvalidError(trouble.message, hint=trouble.hint)
        if not isinstance(trouble, UnavailableError) or now > deadline:
            raise trouble
        if backoff.failures == 3:
            log.warning("%s; trying on", trouble)
        await asyncio.sleep(backoff.next_delay())
