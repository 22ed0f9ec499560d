"""One upload of log batches. Batches that come together are checked and written together: each question waits for the
database, and each write for the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from api.grpc.limits import check_count
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogRecord
from gamekeeper.errors import InvalidError, OtherPlaceError
from gamekeeper.ports.log_store import LogStore
from gamekeeper.rpc.convert import key_from_pb, key_to_pb, place_to_pb, record_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

WRITE_BYTES = 1024 * 1024
RECORD_BYTES = 128  # of memory beside its data: records without any must not come without end either
MAX_RECORDS = 10_000  # in one batch
MAX_LOGS = 5000  # in one upload


class LogIntake:
    """``refusals`` tells which logs are not the calling ``node``'s, and why. Its clock is ``clock_offset_ns`` ahead."""

    def __init__(
        self,
        logs: LogStore,
        refusals: Callable[[Collection[ContainerKey]], Awaitable[Mapping[ContainerKey, str]]],
        clock_offset_ns: int = 0,
        node: str = "",
    ) -> None:
        self._logs = logs
        self._clock_offset_ns = clock_offset_ns
        self._node = node
        self._refusals = refusals
        self._acks: dict[ContainerKey, pb.LogAck] = {}
        self._unchecked: set[ContainerKey] = set()
        self._follows: dict[ContainerKey, int] = {}  # until the first write of this upload
        self._held: dict[ContainerKey, list[LogRecord]] = {}
        self._held_bytes = 0

    async def accept(self, batch: pb.LogBatch) -> None:
        """Refuses the log of a batch that no agent of ours sends. Raises UnavailableError on a full disk and
        for a node beyond its quota, and TooLargeError for more records or logs than any agent sends at once."""
        check_count("records", len(batch.records), MAX_RECORDS)
        key = key_from_pb(batch.key)
        if key not in self._acks:
            check_count("logs", len(self._acks) + 1, MAX_LOGS)
            self._acks[key] = pb.LogAck(key=key_to_pb(key))
            self._unchecked.add(key)
            if batch.HasField("follows"):
                self._follows[key] = batch.follows
        if not self._acks[key].refused and not self._acks[key].HasField("place"):
            try:
                records = [record_from_pb(record) for record in batch.records]
            except InvalidError as error:  # the agent would send it for ever, and nothing behind it
                self._acks[key].refused = str(error)
                return
            self._held.setdefault(key, []).extend(records)
            self._held_bytes += sum(len(record.data) + RECORD_BYTES for record in records)
            if self._held_bytes >= WRITE_BYTES:
                await self._write()

    async def answer(self) -> pb.UploadLogsResponse:
        """The answer, once all of it is on disk for good."""
        await self._write()
        return pb.UploadLogsResponse(acks=list(self._acks.values()))

    async def _write(self) -> None:
        await self._check()
        held, self._held, self._held_bytes = self._held, {}, 0
        for key, records in held.items():
            ack = self._acks[key]
            follows = self._follows.pop(key, None)
            try:
                ack.seq = await self._logs.append(key, records, self._clock_offset_ns, self._node, follows)
            except InvalidError as error:
                ack.refused = str(error)
            except OtherPlaceError:  # the sender's spool, or an answer to it, was lost
                place = await self._logs.place(key)
                ack.seq = place.last_seq
                ack.place.CopyFrom(place_to_pb(place))

    async def _check(self) -> None:
        """One log that is refused must not hold up the others of its node."""
        unchecked, self._unchecked = self._unchecked, set()
        for key, reason in (await self._refusals(unchecked)).items() if unchecked else ():
            self._acks[key].refused = reason
            self._held.pop(key, None)
