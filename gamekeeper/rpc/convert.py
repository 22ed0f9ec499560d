"""Between protobuf and the domain: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import check_pack
from gamekeeper.domain.log.log_place import LogPlace, NewestLine
from gamekeeper.domain.node.inventory import Disk, Gpu, Inventory, NetworkInterface
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.v1 import node_link_pb2 as pb

T = TypeVar("T", bound=BaseModel)
MAX_PARTS = 500
MAX_TEXT = 500  # of one word about a machine; longer ones are cut, on both sides
MAX_ADDRESSES = 64
MAX_SPAN_MS = 100 * 366 * 86_400_000
_TOLD_BESIDE = {"agent_version", "abilities"}  # by Hello itself
_STREAMS = {int(stream): stream for stream in LogStream}


def key_to_pb(key: ContainerKey) -> pb.ContainerKey:
    if isinstance(key, InstanceKey):
        return pb.ContainerKey(instance=key.instance, revision=key.revision)
    message = pb.ContainerKey(run_id=key.run_id, step=key.step)
    setattr(message, "try", key.try_)
    return message


def key_from_pb(message: pb.ContainerKey) -> ContainerKey:
    """Raises InvalidError for a key that could not have been made by a workflow."""
    if message.instance:
        key: ContainerKey = InstanceKey(instance=message.instance, revision=message.revision)
    else:
        key = StepKey(run_id=message.run_id, step=message.step, try_=int(getattr(message, "try")))
    if not key.is_possible:
        raise InvalidError(f"{str(key)!r} is not the key of a container")
    return key


def step_key_from_pb(message: pb.ContainerKey) -> StepKey:
    """Raises InvalidError for a key that is not a possible step's."""
    key = key_from_pb(message)
    if not isinstance(key, StepKey):
        raise InvalidError(f"{key} is not the key of a step")
    return key


def record_to_pb(record: LogRecord) -> pb.LogRecord:
    return pb.LogRecord(seq=record.seq, stream=int(record.stream), ts_ns=record.ts_ns, data=record.data)


def record_from_pb(message: pb.LogRecord) -> LogRecord:
    stream, seq, data = _STREAMS.get(message.stream), message.seq, message.data
    if stream is None or seq < 1:
        raise InvalidError(f"log record {seq} has stream {message.stream}")
    record = LogRecord(seq, stream, message.ts_ns, data)
    if stream is LogStream.LINES:
        check_pack(record)
    if stream is LogStream.GAP and LogGap.decode(data).last != seq:
        raise InvalidError(f"gap record {seq} does not end the gap that it tells of")
    if stream is LogStream.END:
        LogEnd.decode(data)
    return record


def place_to_pb(place: LogPlace) -> pb.LogPlace:
    message = pb.LogPlace(ended=place.ended, digest=place.digest)
    if (newest := place.newest) is not None:
        message.stream, message.seq, message.count = int(newest.stream), newest.seq, newest.count
        message.ts_ns, message.latest_ns, message.first_ns = newest.ts_ns, newest.latest_ns, newest.first_ns
        message.line_digest = newest.digest
    return message


def place_from_pb(message: pb.LogAck) -> LogPlace:
    """Raises InvalidError for a stream that no line has."""
    place, newest = message.place, None
    if place.stream:
        if place.stream not in (LogStream.STDOUT, LogStream.STDERR):
            raise InvalidError(f"the newest line of a log has stream {place.stream}")
        newest = NewestLine(
            seq=place.seq,
            stream=LogStream(place.stream),
            ts_ns=place.ts_ns,
            count=place.count,
            latest_ns=place.latest_ns,
            digest=place.line_digest,
            first_ns=place.first_ns,
        )
    return LogPlace(message.seq, place.ended, place.digest, newest)


def facts_to_pb(facts: NodeFacts) -> pb.Facts:
    return pb.Facts(**facts.model_dump(exclude=_TOLD_BESIDE))


def facts_from_pb(message: pb.Facts, agent_version: str, abilities: Sequence[str] = ()) -> NodeFacts:
    fields = {name: _bounded(getattr(message, name)) for name in NodeFacts.model_fields if name not in _TOLD_BESIDE}
    return NodeFacts(agent_version=agent_version, abilities=_bounded(abilities), **fields)


def _bounded(value: Any) -> Any:
    """A field of a message about a machine: texts without what no database takes, and no longer than anybody reads."""
    if isinstance(value, str):
        return value[:MAX_TEXT].replace("\0", "\ufffd")
    if isinstance(value, int | float):
        return value
    return [_bounded(item) for item in value[:MAX_ADDRESSES]]


def inventory_to_pb(inventory: Inventory, policy_json: str = "") -> pb.Inventory:
    fields = inventory.model_dump(exclude={"facts", "gpus", "disks", "networks"})
    return pb.Inventory(
        facts=facts_to_pb(inventory.facts),
        gpus=[pb.Gpu(**gpu.model_dump()) for gpu in inventory.gpus],
        disks=[pb.Disk(**disk.model_dump()) for disk in inventory.disks],
        networks=[pb.NetworkInterface(**network.model_dump()) for network in inventory.networks],
        policy_json=policy_json,
        **fields,
    )


def inventory_from_pb(message: pb.Inventory) -> Inventory:
    """Raises InvalidError for one that is larger than any machine's."""
    if max(len(message.gpus), len(message.disks), len(message.networks)) > MAX_PARTS:
        raise InvalidError(f"an inventory has over {MAX_PARTS} parts of a kind")
    return Inventory(
        facts=facts_from_pb(message.facts, ""),
        physical_cores=message.physical_cores,
        swap_bytes=message.swap_bytes,
        gpus=[_copy(Gpu, item) for item in message.gpus],
        disks=[_copy(Disk, item) for item in message.disks],
        networks=[_copy(NetworkInterface, item) for item in message.networks],
        containerd_version=_bounded(message.containerd_version),
        runc_version=_bounded(message.runc_version),
        problem=_bounded(message.problem),
    )


def _copy(model: type[T], message: Any) -> T:
    return model(**{name: _bounded(getattr(message, name)) for name in model.model_fields})


def time_to_ms(value: datetime | None) -> int:
    return int(value.timestamp() * 1000) if value else 0


def time_from_ms(value: int) -> datetime | None:
    """None for 0, and for a time that no calendar has: a node may tell any number."""
    try:
        return datetime.fromtimestamp(value / 1000, UTC) if value else None
    except (ValueError, OverflowError, OSError):
        return None


def span_from_ms(value: int) -> timedelta:
    """A time of more than a century is told as one, and none is negative."""
    return timedelta(milliseconds=min(max(0, value), MAX_SPAN_MS))
