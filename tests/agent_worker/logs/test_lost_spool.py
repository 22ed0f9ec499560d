"""A node whose spool is lost: what the server has is not repeated, and what it lacks is sent or told as a gap."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent_worker.logs.spool import Spool
from agent_worker.logs.uploader import Uploader
from api.grpc.log_intake import LogIntake
from api.logs.files import LogFiles
from api.logs.usage import LogLimits
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogLine, LogRecord, LogStream
from gamekeeper.errors import ConflictError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_key
from tests.fakes.node_agent import FakeContainers

OUT, ERR = LogStream.STDOUT, LogStream.STDERR
SECOND = 1_000_000_000
REASON = "the node's spool of logs was lost, and what the server did not have of it can't be had again"


class Server:
    """In the place of the link: the api's intake on its files, in a process that is started anew for each upload."""

    def __init__(self, root: Path, limits: LogLimits | None = None) -> None:
        self.root = root
        self.limits = limits
        self.calls = self
        self.loses_answers = 0
        self.is_old = False
        self._writer: LogFiles | None = None

    def files(self) -> LogFiles:
        """Only one process writes: the one before has ended."""
        if self._writer is not None:
            self._writer._writer._is_ours = False
        self._writer = LogFiles(self.root, self.limits)
        return self._writer

    async def upload(self, batches: Sequence[bytes], files: LogFiles | None = None) -> pb.UploadLogsResponse:
        async def none(_: object) -> Mapping[ContainerKey, str]:
            return {}

        intake = LogIntake(files or self.files(), none)
        for data in batches:
            batch = pb.LogBatch.FromString(data)
            if self.is_old:
                batch.ClearField("follows")
            await intake.accept(batch)
        answer = await intake.answer()
        if self.loses_answers:
            self.loses_answers -= 1
            raise UnavailableError("the api was killed")
        return answer

    async def kept(self, key: ContainerKey) -> list[LogRecord]:
        return [record async for batch in self.files().read(key, 0, follow=False) for record in batch]

    async def shown(self, key: ContainerKey) -> list[str]:
        """The lines, and a word for each gap and end."""
        words = {LogStream.GAP: lambda data: "GAP", LogStream.END: _end_word}
        return [words.get(record.stream, bytes.decode)(record.data) for record in await self.kept(key)]


def _end_word(data: bytes) -> str:
    return "END" if LogEnd.decode(data).complete else "CUT END"


class Node:
    """An agent's part: Docker's log of the container as ``docker``, of which Docker may forget the first lines."""

    def __init__(self, folder: Path, server: Server, key: ContainerKey) -> None:
        self.folder, self.server, self.key = folder, server, key
        self.docker: list[LogLine] = []
        self.written: list[str] = []
        self.now = 1000
        self.lives = 0
        self.spool = self._new_spool()

    def _new_spool(self) -> Spool:
        self.lives += 1
        return Spool(self.folder / f"spool-{self.lives}.db", reserve_bytes=0)

    def lose_spool(self) -> None:
        self.spool.close()
        self.spool = self._new_spool()

    def write(self, *names: str, stream: LogStream = OUT, step: int = SECOND) -> None:
        for name in names:
            self.now += step
            self.docker.append(LogLine(stream, self.now, name.encode()))
            self.written.append(name)

    def read(self) -> None:
        """As the reader does, in two pieces."""
        for half in (self.docker[: len(self.docker) // 2], self.docker):
            cursor = self.spool.open(self.key)
            assert cursor is not None
            known = cursor.filter()
            fresh = known.fresh(half)
            gap = "lost by Docker" if known.lost else ""
            if fresh:
                cursor.advance(fresh)
                self.spool.append(self.key, fresh, cursor, gap)

    def end(self) -> None:
        self.read()
        self.now += SECOND
        self.spool.end(self.key, LogEnd(True), self.now)

    def new_container(self) -> None:
        self.docker = []
        self.spool.open_again(self.key, new_container=True)

    async def send(self) -> int:
        """All that waits; how many uploads it took."""
        link: Any = self.server
        uploader, uploads = Uploader(link, self.spool, FakeContainers()), 0
        while chunks := self.spool.pending(10**9):
            uploads += 1
            try:
                await uploader._send(chunks)
            except UnavailableError:
                continue
        return uploads


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "logs")


@pytest.fixture
def node(tmp_path: Path, server: Server) -> Node:
    return Node(tmp_path, server, InstanceKey(instance="arena", revision=1))


@pytest.mark.parametrize("times", [1, 3])
async def test_the_log_of_the_same_container_has_each_line_once(node: Node, server: Server, times: int) -> None:
    """Docker still has the lines that waited in the lost spool."""
    node.write("a", "b", "c")
    node.read()
    await node.send()
    for turn in range(times):
        node.write(f"waits {turn}", f"error {turn}", stream=ERR)
        node.read()
        node.lose_spool()
        node.write(f"later {turn}")
        node.read()
        await node.send()
        node.write(f"more {turn}")
        node.read()
        await node.send()
    node.end()
    await node.send()
    assert await server.shown(node.key) == [*node.written, "END"]
    assert node.spool.is_settled(node.key)


async def test_lines_that_come_before_the_newest_known_one_are_known_whenever_they_are_read(
    node: Node, server: Server
) -> None:
    """The first upload of the new spool comes when only the first half is read."""
    node.write(*"abcdefgh")
    node.read()
    await node.send()
    node.lose_spool()
    log, node.docker = node.docker, node.docker[:3]
    node.read()
    await node.send()
    node.docker = log
    node.write("i")
    node.read()
    await node.send()
    assert await server.shown(node.key) == list("abcdefghi")


async def test_lines_of_one_time_are_counted(node: Node, server: Server) -> None:
    """The parts of a long line share their time."""
    node.write(*"abc", step=0)
    node.read()
    await node.send()
    node.write(*"de", step=0)
    node.lose_spool()
    node.read()
    await node.send()
    assert await server.shown(node.key) == list("abcde")


async def test_a_clock_that_was_set_back_repeats_and_loses_nothing(node: Node, server: Server) -> None:
    node.write(*"ab")
    node.now -= 100 * SECOND
    node.write(*"cd")
    node.read()
    await node.send()
    node.write("e")
    node.lose_spool()
    node.read()
    await node.send()
    assert await server.shown(node.key) == list("abcde")


@pytest.mark.parametrize("ended", [True, False])
async def test_a_container_that_was_made_anew_goes_on_behind_a_gap(node: Node, server: Server, ended: bool) -> None:
    """The log of an instance is one over its containers."""
    node.write(*"abc")
    node.read()
    if ended:
        node.end()
    await node.send()
    for _ in range(2):
        node.lose_spool()
        node.new_container()
        node.write("d", "e")
        node.read()
        await node.send()
        node.write("f")
        node.end()
        await node.send()
    first = ["a", "b", "c", *(["END"] if ended else [])]
    assert await server.shown(node.key) == [*first, *["GAP", "d", "e", "f", "CUT END"] * 2]
    gap = next(record for record in await server.kept(node.key) if record.stream is LogStream.GAP)
    assert LogGap.decode(gap.data) == LogGap(gap.seq, gap.seq, REASON)
    node.new_container()
    node.write("g")
    node.end()
    await node.send()
    assert (await server.shown(node.key))[-2:] == ["g", "END"]


async def test_the_clock_is_set_back_before_a_container_is_made_anew(node: Node, server: Server) -> None:
    """As on a machine without a clock of its own that had no power: no time says which lines are new."""
    node.write(*"abc")
    node.read()
    await node.send()
    node.lose_spool()
    node.now = 0
    node.new_container()
    server.loses_answers = 1
    for name in "de":
        node.write(name)
        node.read()
        await node.send()
    assert await server.shown(node.key) == [*"abc", "GAP", *"de"]


async def test_what_docker_has_rotated_away_is_told(node: Node, server: Server) -> None:
    node.write(*"abcdef")
    node.read()
    await node.send()
    node.write(*"ghijkl")
    node.read()
    node.lose_spool()
    node.docker = node.docker[8:]
    node.end()
    await node.send()
    assert await server.shown(node.key) == [*"abcdef", "GAP", *"ijkl", "CUT END"]


async def test_docker_lacks_the_first_lines_alone(node: Node, server: Server) -> None:
    """The server has them, so nothing is missing."""
    node.write(*"abcdef")
    node.read()
    await node.send()
    node.write(*"gh")
    node.lose_spool()
    node.docker = node.docker[4:]
    node.end()
    await node.send()
    assert await server.shown(node.key) == [*"abcdefgh", "END"]


async def test_a_log_that_docker_lost_as_a_whole_ends_with_a_gap(node: Node, server: Server) -> None:
    node.write("a")
    node.read()
    await node.send()
    node.lose_spool()
    node.docker = []
    node.read()
    node.end()
    await node.send()
    assert await server.shown(node.key) == ["a", "GAP", "CUT END"]


@pytest.mark.parametrize("lines", ["", "abc"])
async def test_a_log_that_has_ended_is_settled_once_more(node: Node, server: Server, lines: str) -> None:
    """Its container waits to be removed until then."""
    node.write(*lines)
    node.end()
    await node.send()
    node.lose_spool()
    node.end()
    await node.send()
    assert await server.shown(node.key) == [*lines, "END"]
    assert node.spool.is_settled(node.key)


async def test_answers_that_are_lost_repeat_nothing(node: Node, server: Server) -> None:
    """Also when the spool is lost, and when all that it had to tell is a gap and an end."""
    for _ in range(2):
        server.loses_answers = 2
        node.write("a", "b")
        node.read()
        assert await node.send() >= 3
        node.lose_spool()
    node.docker = []
    node.read()
    node.end()
    server.loses_answers = 2
    await node.send()
    assert await server.shown(node.key) == [*"abab", "GAP", "CUT END"]


async def test_two_uploads_at_once_keep_each_line_once(node: Node, server: Server) -> None:
    node.write(*"abc")
    node.read()
    await node.send()
    node.lose_spool()
    node.write("d")
    node.read()
    files = server.files()
    batches = [chunk.message for chunk in node.spool.pending(10**9)]
    answers = await asyncio.gather(*[server.upload(batches, files) for _ in range(5)])
    assert all(answer.acks[0].seq == 3 and answer.acks[0].HasField("place") for answer in answers)
    for _ in range(2):
        await asyncio.gather(*[node.send() for _ in range(2)])
    assert await server.shown(node.key) == list("abcd")


async def test_the_files_of_the_server_are_lost_as_well(node: Node, server: Server) -> None:
    """Between the word on where the log stands and the first lines behind it."""
    node.write(*"abc")
    node.read()
    await node.send()
    node.lose_spool()
    node.write("d")
    node.read()
    link: Any = server
    await Uploader(link, node.spool, FakeContainers())._send(node.spool.pending(10**9))
    for path in server.root.rglob("*.log"):
        path.unlink()
    await node.send()
    gap, line = await server.kept(node.key)
    assert LogGap.decode(gap.data) == LogGap(1, 3, "the control plane lost them")
    assert (line.seq, line.data) == (4, b"d")


async def test_an_old_agent_and_an_old_server_go_on_as_they_did(node: Node, server: Server) -> None:
    """They count alone: exact while Docker's log is whole."""
    server.is_old = True
    node.write(*"abc")
    node.read()
    await node.send()
    node.lose_spool()
    node.write("d")
    node.read()
    await node.send()
    assert await server.shown(node.key) == list("abcd")


async def test_a_spool_of_an_old_agent_is_gone_on_with(node: Node, server: Server) -> None:
    node.write(*"abc")
    node.read()
    await node.send()
    node.write("d")
    node.read()
    with node.spool._store.transaction() as db:
        db.execute("DELETE FROM places")
    assert not pb.LogBatch.FromString(node.spool.pending(1)[0].message).HasField("follows")
    await node.send()
    assert await server.shown(node.key) == list("abcd")


async def test_a_run_over_its_quota_goes_on_to_its_end(tmp_path: Path) -> None:
    server = Server(tmp_path / "logs", LogLimits(run_bytes=10_000))
    node = Node(tmp_path, server, make_key())
    for _ in range(3):
        node.write(*["x" * 100] * 100)
        node.read()
        await node.send()
    node.lose_spool()
    node.write("y")
    node.end()
    await node.send()
    shown = await server.shown(node.key)
    assert shown[-2:] == ["GAP", "CUT END"]
    assert shown.count("GAP") == 1
    assert node.spool.is_settled(node.key)


async def test_an_answer_to_a_file_that_was_begun_anew_is_of_no_account(node: Node) -> None:
    """It acknowledges what had the same numbers."""
    node.write(*"abc")
    node.read()
    sent = node.spool.pending(10**9)
    begin_anew(node.spool)
    cursor = node.spool.open(node.key)
    assert cursor is not None
    node.spool.append(node.key, node.docker, cursor)
    node.spool.acknowledge({node.key: 3}, sent[0].life)
    assert [(chunk.first_seq, chunk.last_seq) for chunk in node.spool.pending(10**9)] == [(1, 3)]


def begin_anew(spool: Spool) -> None:
    with spool._store._lock:
        spool._store._begin_anew(sqlite3.DatabaseError("test"))


def test_a_log_that_a_file_begun_anew_does_not_know_is_opened_again(node: Node) -> None:
    """Its cursor has passed lines that are lost with the file."""
    node.write("a")
    cursor = node.spool.open(node.key)
    assert cursor is not None
    begin_anew(node.spool)
    with pytest.raises(ConflictError, match="it is read anew"):
        node.spool.append(node.key, node.docker, cursor)
    with pytest.raises(ConflictError, match="it is read anew"):
        node.spool.end(node.key, LogEnd(True), 1)


async def happen(chance: random.Random, node: Node, event: str) -> None:
    if event == "write":
        names = [f"{len(node.written) + number} " for number in range(chance.randint(1, 4))]
        node.write(*names, stream=chance.choice([OUT, ERR]), step=chance.choice([1, SECOND]))
    elif event == "send":
        await node.send()
    elif event == "lose an answer":
        node.server.loses_answers = 1
    else:
        node.read()  # what Docker lost before the first reading leaves no trace, with a spool or without
    if event == "lose the spool":
        node.lose_spool()
        node.read()
    elif event == "rotate":
        node.docker = node.docker[chance.randint(0, len(node.docker)) :]
    elif event == "make anew":
        node.now += SECOND
        node.new_container()


@pytest.mark.parametrize("seed", range(10))
async def test_no_line_is_lost_without_a_gap_and_none_is_there_twice(tmp_path: Path, seed: int) -> None:
    """Whatever happens, in any order. Where no container was made anew and Docker has all lines, no gap is told."""
    chance, server = random.Random(seed), Server(tmp_path / "logs")
    node = Node(tmp_path, server, InstanceKey(instance="arena", revision=1))
    may_lose = seed % 2 == 0
    node.write("0 ")
    node.read()
    await node.send()
    events = ["write", "write", "read", "send", "lose the spool", "lose an answer"]
    for _ in range(50):
        await happen(chance, node, chance.choice(events + (["rotate", "make anew"] if may_lose else [])))
    node.read()
    await node.send()
    shown = await server.shown(node.key)
    lines = [word for word in shown if word != "GAP"]
    assert lines == sorted(set(lines), key=int)
    assert may_lose or shown == node.written
    for before, after in pairwise(shown):
        assert "GAP" in (before, after) or int(after) == int(before) + 1
