"""Calls to Temporal, with the gateway's own credential: the address, TLS and API key of ``TEMPORAL_*``.

Agents wait in long polls, each of which holds a stream. Servers and proxies allow a connection so many streams (often
100), so calls are spread over as many connections as they need.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from temporalio.service import TLSConfig

from gamekeeper.temporal.client import connect_config

Metadata = Sequence[tuple[str, str | bytes]]
RawCall = grpc.aio.UnaryUnaryCall[bytes, bytes]

CALLS_PER_CONNECTION = 90
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
MAX_ANSWER_BYTES = 128 * 1024 * 1024  # as the SDK
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),  # the SDK knows no such variables either
    ("grpc.use_local_subchannel_pool", 1),  # else all channels to one address share a connection
    ("grpc.enable_retries", 0),  # agents try again, and know what may be repeated
]


@dataclass(frozen=True)
class Target:
    """Temporal's address, and the way to be let in there."""

    address: str
    namespace: str
    tls: TLSConfig | None
    metadata: tuple[tuple[str, str | bytes], ...]

    @classmethod
    def from_environment(cls, address: str) -> Target:
        """As the SDK's client would connect; to another ``address``, unless that is empty. Raises InvalidError."""
        config = connect_config(address)
        tls = config.get("tls")
        metadata: list[tuple[str, str | bytes]] = [
            (key.lower(), value) for key, value in config.get("rpc_metadata", {}).items()
        ]
        if key := config.get("api_key"):
            metadata.append(("authorization", f"Bearer {key}"))
        namespace = config.get("namespace", "default")
        return cls(
            config.get("target_host", "localhost:7233"),
            namespace,
            TLSConfig() if tls is True else tls or None,
            (*metadata, ("temporal-namespace", namespace)),
        )

    def channel(self) -> grpc.aio.Channel:
        if self.tls is None:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            self.tls.server_root_ca_cert or _system_roots(), self.tls.client_private_key, self.tls.client_cert
        )
        return grpc.aio.secure_channel(self.address, credentials, options=[*_OPTIONS, *self._names()])

    def _names(self) -> list[tuple[str, str]]:
        assert self.tls is not None
        names: list[tuple[str, str]] = []
        if self.tls.domain:
            names.append(("grpc.default_authority", self.tls.domain))
        if checked := self.tls.verification_server_name or self.tls.domain:
            names.append(("grpc.ssl_target_name_override", checked))
        return names


def _system_roots() -> bytes | None:
    """The roots that this machine trusts, as the SDK takes them. None takes those that gRPC brings."""
    for name in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_BUNDLES):
        if name and os.path.exists(name):
            return Path(name).read_bytes()
    return None


class _Connection:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.open = 0
        self.methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def method(self, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        found = self.methods.get(path)
        if found is None:
            found = self.methods[path] = self.channel.unary_unary(path)
        return found


class Upstream:
    """Made before the event loop serves; connects at the first call."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connections = [_Connection(target.channel())]

    @contextmanager
    def call(self, path: str, request: bytes, metadata: Metadata, seconds: float) -> Iterator[RawCall]:
        """A call that goes out at once and is cancelled, if it is still open, when the block is left."""
        connection = self._connection()
        connection.open += 1
        call = connection.method(path)(request, timeout=seconds, metadata=(*metadata, *self._target.metadata))
        try:
            yield call
        finally:
            connection.open -= 1
            call.cancel()

    async def close(self) -> None:
        for connection in self._connections:
            await connection.channel.close()

    def _connection(self) -> _Connection:
        """The first with room, so that the later ones become idle again."""
        for connection in self._connections:
            if connection.open < CALLS_PER_CONNECTION:
                return connection
        self._connections.append(_Connection(self._target.channel()))
        return self._connections[-1]
