"""Logs whose engine shows another part of them at each reading, and what reaches the spool of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from agent_worker.dummy_engine import DummyEngine
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogLine, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import unpack
from gamekeeper.rpc.convert import record_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS

SECOND = 1_000_000_000


def records(spool: Spool) -> list[LogRecord]:
    batches = [pb.LogBatch.FromString(chunk.batch) for chunk in spool.pending(10**9)]
    return [line for batch in batches for record in batch.records for line in unpack(record_from_pb(record))]


def line(number: int) -> LogLine:
    return LogLine(LogStream.STDOUT, number * 2 * SECOND, b"line %d\n" % number)


def end_of(spool: Spool) -> LogEnd:
    return LogEnd.decode(records(spool)[-1].data)


def gaps(spool: Spool) -> list[str]:
    return [LogGap.decode(record.data).reason for record in records(spool) if record.stream is LogStream.GAP]


def lines_of(spool: Spool) -> list[bytes]:
    return [record.data for record in records(spool) if record.stream is LogStream.STDOUT]


class RotatingEngine(DummyEngine):
    """Each reading sees the next of ``views``: what the engine's files hold then, up to where it ends the stream."""

    def __init__(self, *views: Sequence[int]) -> None:
        super().__init__("node-1")
        self._views = list(views)
        self.follows: list[bool] = []

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        assert container_id
        self.follows.append(follow)
        view = self._views.pop(0) if len(self._views) > 1 else self._views[0]
        for number in view:
            if line(number).ts_ns >= since_ns:
                yield [line(number)]


async def follow_to_the_end(engine: DummyEngine, spool: Spool, *, one_file: bool = False) -> ContainerKey:
    new = make_new_container(make_owner(node="node-1"), environment={"DUMMY_SLEEP": "0"})
    container_id = await engine.create(new)
    await engine.start(container_id)
    await engine.wait(container_id)
    follower = LogFollower(engine, spool)
    follower.follow(new.owner.key, container_id, until_removed=False, one_file=one_file)
    assert await follower.drain(new.owner.key, HANG_SECONDS)
    return new.owner.key
