"""Sends the spool to the control plane, oldest first, and drops what is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_worker.logs.spool import Chunk, Spool
from agent_worker.node_link.session import Link
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.errors import LaterError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_agent import Containers
from gamekeeper.rpc.convert import key_from_pb, place_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised

log = get_logger(__name__)

UPLOAD_BYTES = 3 * 1024 * 1024
LATEST_SECONDS = 60.0  # whatever a server says
LINGER_SECONDS = 0.2  # lines that come together travel together; who follows a log does not feel it


class Uploader:
    """``containers`` is told when a log is settled, because its container may then go.

    ``bytes_per_second`` is the server's limit; 0 is none. Chunks that wait meanwhile wait on disk.
    """

    def __init__(self, link: Link, spool: Spool, containers: Containers) -> None:
        self._link = link
        self._spool = spool
        self._containers = containers
        self.bytes_per_second = 0
        self.care = Supervised("the upload of logs")

    async def run_forever(self) -> None:
        backoff = Backoff(initial=0.2, maximum=10)
        while True:
            await asyncio.to_thread(self._spool.has_data.wait, 1.0)
            try:
                await self._link.connected.wait()
                await asyncio.sleep(LINGER_SECONDS)
                while chunks := await asyncio.to_thread(self._spool.pending, UPLOAD_BYTES):
                    await self._send(chunks)
                    if self.bytes_per_second:
                        needed = sum(len(chunk.batch) for chunk in chunks) / self.bytes_per_second
                        await asyncio.sleep(min(needed, LATEST_SECONDS))
                backoff.reset()
                self.care.succeeded()
            except UnavailableError as error:
                self.care.failed(error)
                wanted = min(error.after_seconds, LATEST_SECONDS) if isinstance(error, LaterError) else 0.0
                await asyncio.sleep(max(backoff.next_delay(), jittered(wanted)))

    async def _send(self, chunks: list[Chunk]) -> None:
        answer = await self._link.calls.upload([chunk.message for chunk in chunks])
        first: dict[ContainerKey, int] = {}
        for chunk in chunks:
            first.setdefault(chunk.key, chunk.first_seq)
        if await asyncio.to_thread(self._settle, answer.acks, first, chunks[0].life):
            self._containers.changed()

    def _settle(self, acks: Sequence[pb.LogAck], first: dict[ContainerKey, int], life: int) -> bool:
        """True when nothing of some log is left to do."""
        refused = {key_from_pb(ack.key): ack.refused for ack in acks if ack.refused}
        for key, reason in refused.items():
            log.error("the log of %s is refused, and its lines are not kept any longer: %s", key, reason)
            self._spool.refuse(key, reason)
        taken = [ack for ack in acks if not ack.refused and not ack.HasField("place")]
        acked = {key_from_pb(ack.key): ack.seq for ack in taken}
        settled = self._spool.acknowledge(acked, life)
        for key, seq in acked.items():
            if key in first and seq < first[key] - 1:
                log.error("the server lost the log of %s from line %d on; the loss is recorded", key, seq + 1)
                self._spool.fill_hole(key, seq)
        for ack in acks:
            if ack.HasField("place") and self._stand(ack, life):
                settled.add(key_from_pb(ack.key))
        return bool(refused or settled)

    def _stand(self, ack: pb.LogAck, life: int) -> bool:
        key = key_from_pb(ack.key)
        log.warning("the log of %s goes on behind record %d of the server's, unknown to this spool", key, ack.seq)
        return self._spool.stand_behind(key, place_from_pb(ack), life)
