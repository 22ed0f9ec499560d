"""Builds the gateway from its settings."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import grpc

from gamekeeper.errors import UnavailableError
from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile
from gamekeeper.ports.node_directory import NodeDirectory
from gamekeeper.ports.payload_trouble_log import PayloadTroubleLog
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.sealed_payloads import PayloadSeals
from gateway.admission import WATCH_SECONDS, Admission
from gateway.limits import Limits, NodeLimits
from gateway.refusal import Reason, Refusal
from gateway.rules import Rules
from gateway.server import OPTIONS, Gateway
from gateway.settings import GatewaySettings
from gateway.telling import Telling
from gateway.tls import TlsFiles
from gateway.tokens import Seal, ensure_secret
from gateway.upstream import Target, Upstream

STOP_SECONDS = 1.0
FORGET_SECONDS = 60.0
TELL_SECONDS = 5.0


@dataclass(frozen=True)
class GatewayProcess:
    server: grpc.aio.Server
    port: int
    admission: Admission
    limits: Limits
    upstream: Upstream
    telling: Telling
    seals: PayloadSeals
    troubles: PayloadTroubleLog

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """All that runs for as long as the gateway does. The watch never slows down: it keeps revoked nodes out."""
        return [
            Supervised("the watch over nodes").forever(self.admission.look, WATCH_SECONDS, slowest=WATCH_SECONDS),
            Supervised("the limits of nodes").forever(self.limits.forget_idle, FORGET_SECONDS),
            Supervised("the troubles of payloads").forever(self._tell_troubles, TELL_SECONDS),
        ]

    async def _tell_troubles(self) -> None:
        await self.seals.tell(self.troubles, "gateway")

    async def stop(self) -> None:
        """Ends polls at once, so that they take no task; other calls have a moment to be answered."""
        self.admission.end_all(Refusal(Reason.STOPPING, "the gateway stops", hint="the call may be repeated"))
        await self.server.stop(STOP_SECONDS)
        await self.upstream.close()


def build(settings: GatewaySettings, directory: NodeDirectory, troubles: PayloadTroubleLog) -> GatewayProcess:
    """Raises InvalidError for files that are not right, UnavailableError for a port that is taken."""
    target = Target.from_environment(settings.temporal)
    admission = Admission(directory)
    limits = Limits(
        NodeLimits(
            polls=settings.gateway_polls,
            calls=settings.gateway_calls,
            calls_per_second=settings.gateway_calls_per_second,
            bytes_per_second=settings.gateway_bytes_per_second,
        )
    )
    upstream = Upstream(target)
    telling = Telling(lambda: limits.open_polls)
    seals = PayloadSeals(PayloadKeys(RingFile(settings.payload_keys)))
    rules = Rules(Seal(ensure_secret(settings.gateway_secret_file)), target.namespace, seals)
    tls = TlsFiles(settings.gateway_certificate, settings.gateway_key, settings.gateway_roots)
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers([Gateway(rules, admission, limits, upstream, telling)])
    port = _bind(server, f"{settings.gateway_host}:{settings.gateway_port}", tls.credentials())
    if settings.gateway_metrics_port:
        telling.serve(settings.gateway_metrics_port)
    return GatewayProcess(server, port, admission, limits, upstream, telling, seals, troubles)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> int:
    try:
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise UnavailableError(
            f"the gateway can't listen on {address}", hint="see which process has the port: ss -ltnp"
        ) from error
