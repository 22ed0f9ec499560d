"""The gRPC server around the servicers: mutual TLS, limits, health, and reflection on request.

The server's certificate and the roots are asked for at each handshake: a renewal or a rotation restarts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from api.grpc.limits import LIMITS
from api.grpc.message_check import MessageCheck, Told
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc

STOP_SECONDS = 0.5
SERVICE = pb.DESCRIPTOR.services_by_name["NodeLink"].full_name
_OPTIONS = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_allowed_incoming_connections", 16_384),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
]


@dataclass(frozen=True)
class LinkServer:
    """The server of the node link. It is bound to its port when it is made, and serves from ``start`` on."""

    server: grpc.aio.Server
    health: health_aio.HealthServicer
    port: int

    async def start(self) -> None:
        await self.server.start()
        await self.health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float = STOP_SECONDS) -> None:
        """Stops serving. Watchers of the health hear of it first."""
        await self.health.enter_graceful_shutdown()
        await self.server.stop(grace)


Trust = Callable[[], tuple[OwnCertificate, str]]  # the server's certificate now, and the roots of its clients


def _untold(*_: object) -> None:
    return None


def build_server(
    servicer: pb_grpc.NodeLinkServicer,
    address: str,
    *,
    trust: Trust,
    reflect: bool,
    told: Told = _untold,
) -> LinkServer:
    """``told`` hears of messages that were refused for their size before a call saw them."""
    sizes = {name: limit.message_bytes for name, limit in LIMITS.items()}
    server = grpc.aio.server(options=_OPTIONS, interceptors=[MessageCheck(SERVICE, sizes, told)])
    pb_grpc.add_NodeLinkServicer_to_server(servicer, server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if reflect:
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return LinkServer(server, health, server.add_secure_port(address, _mutual_tls(trust)))


def _mutual_tls(trust: Trust) -> grpc.ServerCredentials:
    newest = trust()

    def configuration() -> grpc.ServerCertificateConfiguration:
        own, roots = newest
        pair = (own.key_pem.encode(), own.chain_pem.encode())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots.encode())

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal newest
        found = trust()
        if found == newest:
            return None  # gRPC then goes on with what it has, which is much cheaper
        newest = found
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        changed,  # type: ignore[arg-type]  # None says that nothing changed, which the stubs do not know
        require_client_authentication=True,
    )
