"""Statuses of instances between protobuf and the domain."""

from __future__ import annotations

from pydantic import ValidationError

from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.told import bounded
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.convert import time_from_ms, time_to_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb

_NUMBERS = ("serial", "revision", "crash_count", "seq")
_TEXTS = ("instance", "desired", "state", "container_id", "digest")


def status_to_pb(told: InstanceStatus) -> pb.InstanceStatus:
    status = bounded(told)
    message = pb.InstanceStatus(
        reason=status.reason or "",
        message=status.message,
        since_ms=time_to_ms(status.since),
        ports=status.ports,
        **{name: getattr(status, name) for name in (*_NUMBERS, *_TEXTS)},
    )
    if status.exit_code is not None:
        message.exit_code = status.exit_code
    return message


def status_from_pb(message: pb.InstanceStatus) -> InstanceStatus:
    """Raises InvalidError for one that no keeper of this version tells."""
    fields = {name: getattr(message, name) for name in (*_NUMBERS, *_TEXTS)}
    if not InstanceKey(instance=message.instance, revision=max(1, message.revision)).is_possible:
        raise InvalidError(f"{message.instance[:80]!r} is not the id of an instance")
    try:
        status = InstanceStatus(
            reason=message.reason or None,
            message=message.message,
            since=time_from_ms(max(1, message.since_ms)),
            exit_code=message.exit_code if message.HasField("exit_code") else None,
            ports=list(message.ports),
            **fields,
        )
    except (ValidationError, ValueError, OverflowError, OSError) as error:
        words = " ".join(str(error).split())[:300]
        raise InvalidError(f"the status of instance {message.instance} is none of this version: {words}") from error
    return bounded(status)
