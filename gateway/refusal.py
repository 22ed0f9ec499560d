"""Refusals of the gateway, each with a reason that logs and counters know, and the status that an agent is told.

A task token that is not the node's own answers NOT_FOUND, as Temporal answers for a task that is over: an agent then
drops the task, while it would go on telling its outcome after any other status.
"""

from __future__ import annotations

from enum import StrEnum

import grpc

from gamekeeper.errors import GamekeeperError


class Reason(StrEnum):
    TLS = "tls"
    CERTIFICATE = "certificate"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN_NODES = "unknown_nodes"
    METHOD = "method"
    NAMESPACE = "namespace"
    QUEUE = "queue"
    FIELD = "field"
    MALFORMED = "malformed"
    TOKEN = "token"
    SIZE = "size"
    POLLS = "polls"
    RATE = "rate"
    STOPPING = "stopping"
    CREDENTIAL = "credential"


STATUS = {
    Reason.TLS: grpc.StatusCode.UNAUTHENTICATED,
    Reason.CERTIFICATE: grpc.StatusCode.UNAUTHENTICATED,
    Reason.EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.REVOKED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.UNKNOWN_NODES: grpc.StatusCode.UNAVAILABLE,
    Reason.METHOD: grpc.StatusCode.PERMISSION_DENIED,
    Reason.NAMESPACE: grpc.StatusCode.PERMISSION_DENIED,
    Reason.QUEUE: grpc.StatusCode.PERMISSION_DENIED,
    Reason.FIELD: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.TOKEN: grpc.StatusCode.NOT_FOUND,
    Reason.SIZE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.POLLS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.RATE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.STOPPING: grpc.StatusCode.UNAVAILABLE,
    Reason.CREDENTIAL: grpc.StatusCode.UNAVAILABLE,
}


class Refusal(GamekeeperError):
    """A call that does not pass. Its text reaches the agent."""

    kind = "refused"

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    @property
    def status(self) -> grpc.StatusCode:
        return STATUS[self.reason]


def shown(text: str) -> str:
    """A name that an agent sent, short enough for a message."""
    return repr(text if len(text) <= 120 else text[:120] + "...")
