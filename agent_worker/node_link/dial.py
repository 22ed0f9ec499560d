"""Connections to the control plane: control on one, bulk on another, so that a flood of logs delays no heartbeat.

Both are mutual TLS. A certificate is shown when a connection is made, and an open one outlives it: a renewal makes new
connections for new calls, and lets those that are open end as they like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from agent_worker.identity import Credentials
from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc

CALL_SECONDS = 30.0
UPLOAD_LOGS = f"/{pb.DESCRIPTOR.services_by_name['NodeLink'].full_name}/UploadLogs"
_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.use_local_subchannel_pool", 1),  # else two channels to one address share a connection
]


class Dial:
    """Both connections to one address; made at once, connected at the first use."""

    def __init__(self, address: str, credentials: Credentials, compression: str = "") -> None:
        self.address = address
        kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        own = grpc.ssl_channel_credentials(
            root_certificates=credentials.roots.encode(),
            private_key=credentials.key.encode(),
            certificate_chain=credentials.chain.encode(),
        )
        self._channels = (
            grpc.aio.secure_channel(address, own, options=_OPTIONS),
            grpc.aio.secure_channel(address, own, options=_OPTIONS, compression=kind),
        )
        self.control, self.bulk = (pb_grpc.NodeLinkStub(channel) for channel in self._channels)
        # The spool holds encoded batches: reading them back only to write them again would double the cost of a line.
        self.upload_logs: Any = self._channels[1].stream_unary(
            UPLOAD_LOGS, response_deserializer=pb.UploadLogsResponse.FromString
        )
        self._calls = 0
        self._closing: asyncio.Task[None] | None = None
        self._is_retired = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the connections open while a call goes on, even when the dial is retired meanwhile."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._close_if_over()

    def retire(self) -> None:
        """Closes the connections when the last call over them has ended."""
        self._is_retired = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._is_retired and self._calls == 0 and self._closing is None:
            self._closing = asyncio.create_task(self.close())

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
