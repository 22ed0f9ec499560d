"""The NodeLink servicer: all calls of the node link, each concern in a module of its own."""

from __future__ import annotations

from api.grpc.certificates import CertificateCalls
from api.grpc.console import ConsoleCalls
from api.grpc.containers import ContainerCalls
from api.grpc.instances import InstanceCalls
from api.grpc.logs import LogCalls
from api.grpc.secrets import SecretCalls
from api.grpc.session import SessionCalls
from api.grpc.telemetry import TelemetryCalls


class NodeLink(
    SessionCalls,
    TelemetryCalls,
    ContainerCalls,
    InstanceCalls,
    SecretCalls,
    LogCalls,
    ConsoleCalls,
    CertificateCalls,
):
    """The calls that ``proto/gamekeeper/rpc/v1`` describes."""
