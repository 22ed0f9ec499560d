"""No secret value reaches the spool, whatever happens to the agent meanwhile, and the lines stay the same ones."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent_worker.dummy_engine import DummyEngine
from agent_worker.logs import log_reader
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from agent_worker.logs.uploader import Uploader
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import PART_BYTES, LogEnd, LogLine, LogStream
from gamekeeper.ports.container_engine import NewContainer, Ownership
from tests.agent_worker.logs.shown_logs import SECOND, end_of, lines_of, records
from tests.agent_worker.logs.test_lost_spool import Server
from tests.factories import make_new_container, make_owner
from tests.fakes.node_agent import FakeContainers
from tests.hang import HANG_SECONDS

OUT, ERR = LogStream.STDOUT, LogStream.STDERR
VALUE = b"hunter2-hunter3"
FILLER = b"x" * (PART_BYTES - 8)


class ShowingEngine(DummyEngine):
    """Shows ``log``, as many lines at once as ``batch`` says. A follower's stream ends with the container."""

    def __init__(self, log: Sequence[tuple[LogStream, bytes]], batch: int = 3) -> None:
        super().__init__("node-1")
        self.log = [LogLine(stream, (place + 1) * SECOND, data) for place, (stream, data) in enumerate(log)]
        self._batch = batch

    async def begin(self, owner: Ownership | None = None, *, ends: bool = True) -> tuple[ContainerKey, str]:
        owner = owner or make_owner(node="node-1")
        new = make_new_container(owner, environment={"DUMMY_SLEEP": "0" if ends else "1000"})
        container_id = await self.create(NewContainer(new.owner, new.spec, secrets=1))
        await self.start(container_id)
        if ends:
            await self.wait(container_id)
        return new.owner.key, container_id

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        lines = [line for line in self.log if line.ts_ns >= since_ns]
        for at in range(0, len(lines), self._batch):
            yield lines[at : at + self._batch]
        if follow:
            await self.wait(container_id)

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        return self.log[-count:]


def in_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def follow(engine: DummyEngine, spool: Spool, secrets: SecretsOfContainers, key: ContainerKey, name: str) -> None:
    follower = LogFollower(engine, spool, secrets)
    follower.follow(key, name, until_removed=False)
    assert await follower.drain(key, HANG_SECONDS)


def held(key: ContainerKey) -> SecretsOfContainers:
    secrets = SecretsOfContainers()
    secrets.hold(key.container_name, [VALUE])
    return secrets


async def test_no_value_reaches_the_nodes_disk(spool: Spool, tmp_path: Path) -> None:
    encoded = base64.b64encode(VALUE)
    engine = ShowingEngine([(OUT, b"it is " + VALUE + b"\n"), (ERR, encoded + b"\n"), (OUT, b"plain\n")])
    key, container_id = await engine.begin()
    await follow(engine, spool, held(key), key, container_id)
    assert [(record.stream, record.data) for record in records(spool)[:-1]] == [
        (OUT, b"it is ***\n"),
        (ERR, b"***\n"),
        (OUT, b"plain\n"),
    ]
    assert [record.ts_ns for record in records(spool)[:-1]] == [SECOND, 2 * SECOND, 3 * SECOND]
    assert end_of(spool) == LogEnd(complete=True)
    assert b"plain" in in_files(tmp_path)
    assert VALUE not in in_files(tmp_path)
    assert encoded not in in_files(tmp_path)


PARTS = [
    (OUT, b"first\n"),
    (OUT, FILLER + b"hunter2-"),
    (ERR, b"beside it\n"),
    (OUT, b"hunter3" + FILLER + b"h"),
    (OUT, b"unter2-hunter3\n"),
    (ERR, b"\n"),
    (OUT, b"last hunt"),
]
SHOWN = [b"first\n", FILLER + b"***", b"" + FILLER + b"***", b"\n", b"last ***"]


@pytest.mark.parametrize("batch", range(1, 8))
@pytest.mark.parametrize("whole_bytes", [0, log_reader.CAUGHT_UP_BYTES])
async def test_a_value_across_the_parts_of_a_long_line_is_masked(
    spool: Spool, batch: int, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_worker.logs.log_cursor.WHOLE_BYTES", whole_bytes)
    engine = ShowingEngine(PARTS, batch)
    key, container_id = await engine.begin()
    await follow(engine, spool, held(key), key, container_id)
    assert lines_of(spool) == SHOWN
    assert [record.ts_ns // SECOND for record in records(spool)[:-1]] == [1, 2, 3, 4, 5, 6, 7]
    assert end_of(spool) == LogEnd(complete=True)


@pytest.mark.parametrize("killed_after", range(1, 8))
async def test_an_agent_that_is_killed_goes_on_without_a_value_or_a_lost_line(spool: Spool, killed_after: int) -> None:
    """The engine shows the first lines, the agent is killed, and another one reads the log again."""
    engine = ShowingEngine(PARTS, batch=1)
    key, container_id = await engine.begin(ends=False)
    whole, engine.log = engine.log, engine.log[:killed_after]
    follower = LogFollower(engine, spool, held(key))
    follower.follow(key, container_id, until_removed=False)
    async with asyncio.timeout(HANG_SECONDS):
        while not records(spool):
            await asyncio.sleep(0.01)
    await follower.close()
    assert not [record for record in records(spool) if b"hunter" in record.data]
    engine.log = whole
    await engine.stop(container_id, 0)
    await follow(engine, spool, held(key), key, container_id)
    assert lines_of(spool) == SHOWN
    assert [record.seq for record in records(spool)] == list(range(1, 9))


async def test_a_running_process_that_never_ends_its_line_is_heard_all_the_same(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("agent_worker.logs.log_reader", "agent_worker.masking.masked_lines"):
        monkeypatch.setattr(f"{module}.HELD_SECONDS", 0.05)
    engine = ShowingEngine([(OUT, FILLER + b"hunter2-"), (ERR, b"beside it\n")], batch=9)
    key, container_id = await engine.begin(ends=False)
    follower = LogFollower(engine, spool, held(key))
    follower.follow(key, container_id, until_removed=False)
    async with asyncio.timeout(HANG_SECONDS):
        while not records(spool):
            await asyncio.sleep(0.01)
    assert [record.data for record in records(spool)] == [FILLER + b"***", b"beside it\n"]
    await follower.close()


async def test_a_log_waits_for_values_that_are_not_known_yet(spool: Spool) -> None:
    engine = ShowingEngine([(OUT, b"it is " + VALUE + b"\n")])
    key, container_id = await engine.begin()
    secrets, asked = SecretsOfContainers(), asyncio.Queue[str]()
    secrets.asked = asked.put_nowait
    follower = LogFollower(engine, spool, secrets)
    follower.follow(key, container_id, until_removed=False)
    async with asyncio.timeout(HANG_SECONDS):
        assert await asked.get() == key.container_name
    assert not await follower.drain(key, 0.05)
    assert records(spool) == []
    secrets.hold(key.container_name, [VALUE])
    assert await follower.drain(key, HANG_SECONDS)
    assert lines_of(spool) == [b"it is ***\n"]


async def test_values_that_are_gone_for_ever_leave_the_lines_and_no_words(spool: Spool) -> None:
    engine = ShowingEngine([(OUT, b"it is " + VALUE + b"\n"), (OUT, b"\n"), (OUT, b"end")])
    key, container_id = await engine.begin()
    secrets = SecretsOfContainers()
    secrets.withhold(key.container_name)
    await follow(engine, spool, secrets, key, container_id)
    assert lines_of(spool) == [b"***\n", b"\n", b"***"]


async def test_the_log_of_a_container_that_is_removed_before_its_values_come_has_an_end(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "VALUES_SECONDS", 0.05)
    engine = ShowingEngine([(OUT, VALUE)])
    key, container_id = await engine.begin()
    secrets, asked = SecretsOfContainers(), asyncio.Queue[str]()
    secrets.asked = asked.put_nowait
    follower = LogFollower(engine, spool, secrets)
    follower.follow(key, container_id, until_removed=False)
    async with asyncio.timeout(HANG_SECONDS):
        await asked.get()
    await engine.remove(container_id)
    assert await follower.drain(key, HANG_SECONDS)
    assert lines_of(spool) == []
    assert end_of(spool) == LogEnd(complete=False, reason=log_reader.REMOVED)


async def test_values_that_come_with_a_new_start_are_masked_from_then_on(spool: Spool) -> None:
    engine = ShowingEngine([(OUT, b"hunter2-hunter3\n"), (OUT, b"rotated-value\n")])
    key, container_id = await engine.begin()
    secrets = held(key)
    secrets.hold(key.container_name, [b"rotated-value"])
    await follow(engine, spool, secrets, key, container_id)
    assert lines_of(spool) == [b"***\n", b"***\n"]


async def test_a_log_whose_newest_line_is_masked_is_known_again_when_the_spool_was_lost(tmp_path: Path) -> None:
    """The server tells its newest line, masked; the agent reads all of the engine's log anew."""
    server: Any = Server(tmp_path / "logs")
    owner = make_owner(node="node-1")
    log = [(OUT, b"one\n"), (ERR, b"it is " + VALUE + b"\n"), (OUT, b"two\n"), (OUT, VALUE)]
    for life in range(2):
        spool = Spool(tmp_path / f"spool-{life}.db", reserve_bytes=0)
        engine = ShowingEngine(log[: 2 + 2 * life])
        key, container_id = await engine.begin(owner, ends=bool(life))
        reading = LogFollower(engine, spool, held(key))
        reading.follow(key, container_id, until_removed=False)
        async with asyncio.timeout(HANG_SECONDS):
            while len(records(spool)) < 2 + 3 * life:
                await asyncio.sleep(0.01)
        await reading.close()
        uploader = Uploader(server, spool, FakeContainers())
        while chunks := spool.pending(10**9):
            await uploader._send(chunks)
        spool.close()
    assert await server.shown(key) == ["one\n", "it is ***\n", "two\n", "***", "END"]
