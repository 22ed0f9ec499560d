"""Connections to the control plane: control on one, bulk on another, so that a flood of logs delays no heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from agent_worker.identity import Identity
from gamekeeper.backoff import Backoff
from gamekeeper.errors import InvalidError, UnauthenticatedError
from gamekeeper.logging import get_logger
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION

log = get_logger(__name__)

CALL_SECONDS = 30.0
UPLOAD_LOGS = f"/{pb.DESCRIPTOR.services_by_name['NodeLink'].full_name}/UploadLogs"
_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),  # else two channels to one address share a connection
]


def addresses(servers: str) -> Sequence[str]:
    """The addresses in a comma-separated list, to be tried in turn. Raises InvalidError for an empty one."""
    found = [part.strip() for part in servers.split(",") if part.strip()]
    if not found:
        raise InvalidError("no server is named", hint="give one or more as HOST:PORT,HOST:PORT")
    return found


class Dial:
    """Both connections to one address; made at once, connected at the first use."""

    def __init__(self, address: str, compression: str = "") -> None:
        self.address = address
        kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        self._channels = (
            grpc.aio.insecure_channel(address, options=_OPTIONS),
            grpc.aio.insecure_channel(address, options=_OPTIONS, compression=kind),
        )
        self.control, self.bulk = (pb_grpc.NodeLinkStub(channel) for channel in self._channels)
        # The spool holds encoded batches: reading them back only to write them again would double the cost of a line.
        self.upload_logs: Any = self._channels[1].stream_unary(
            UPLOAD_LOGS, response_deserializer=pb.UploadLogsResponse.FromString
        )

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


async def register(servers: str, token: str) -> Identity:
    """Trades an enrolment token for a node key; waits for a server that is not there yet, trying each in turn.

    Raises UnauthenticatedError for a token that is not good, and for a protocol that differs.
    """
    backoff = Backoff()
    while True:
        for server in addresses(servers):
            identity = await _register_at(server, token)
            if identity is not None:
                return identity
        await asyncio.sleep(backoff.next_delay())


async def _register_at(server: str, token: str) -> Identity | None:
    """None when nobody answers there."""
    dial = Dial(server)
    try:
        answer: pb.RegisterResponse = await dial.control.Register(
            pb.RegisterRequest(protocol_version=PROTOCOL_VERSION, token=token), timeout=CALL_SECONDS
        )
        return Identity(node_id=answer.node_id, node_key=answer.node_key)
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise UnauthenticatedError(f"{server} refused the registration: {error.details()}") from error
        log.warning("%s does not answer yet: %s", server, error.details())
        return None
    finally:
        await dial.close()
