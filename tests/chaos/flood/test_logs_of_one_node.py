"""One node uploads logs without end. Another's heartbeats are answered as before, and the disk stays within the quota.

The heartbeats are judged by what was measured in the same run: beside a process that uses its core and talks to nobody,
and beside the flood.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from agent_worker.identity import Credentials, Identity
from gamekeeper.db.engine import Database
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.version import PROTOCOL_VERSION
from gamekeeper.stack.ports import free_port
from tests.fixtures.certificates import NODE_CSR, NODE_KEY
from tests.fixtures.raw_agent import RawAgent
from tests.hang import HANG_SECONDS

log = logging.getLogger(__name__)

RUN = "f" * 16
BEATS = 400
BETWEEN_SECONDS = 0.02
SLOWER = 10.0  # at the 99th percentile; an upload is three megabytes, which are read and checked in between
MIB = 2**20
QUOTAS = {"RUN": 24 * MIB, "NODE": 96 * MIB}


class Server:
    """An api process with two nodes, of which one owns a step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = [str(free_port("127.0.0.1")) for _ in range(2)]
        self.rest, self.link = (f"127.0.0.1:{port}" for port in ports)
        quotas = {f"GAMEKEEPER_LOG_{name}_BYTES": str(size) for name, size in QUOTAS.items()}
        command = [sys.executable, "-m", "tests.fixtures.lonely_api", str(folder), *ports, "2"]
        with (folder / "api.log").open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | quotas)
        self.until(self._serves)
        self.tokens: dict[str, str] = json.loads((folder / "tokens.json").read_text())

    def until(self, found: Any) -> None:
        deadline = time.monotonic() + HANG_SECONDS
        while not found():
            assert time.monotonic() < deadline, (self._folder / "api.log").read_text()[-2000:]
            time.sleep(0.05)

    def _serves(self) -> bool:
        try:
            return httpx.get(f"http://{self.rest}/livez").status_code == 200
        except httpx.TransportError:
            return False

    def join(self, node: str) -> Identity:
        body = {"token": self.tokens[node], "csr": NODE_CSR, "protocol_version": PROTOCOL_VERSION}
        answers: list[httpx.Response] = []

        def joins() -> bool:
            """Not while the api is late, as it is at its start on a busy machine."""
            answers.append(httpx.post(f"http://{self.rest}/api/v1/join", json=body, timeout=HANG_SECONDS))
            return answers[-1].status_code == 200

        self.until(joins)
        joined = answers[-1].json()
        credentials = Credentials(NODE_KEY, joined["certificate"], joined["roots"], time.time(), 86_400)
        return Identity(node_id=node, node_key=joined["node_key"], credentials=credentials)

    def told(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._folder}/gamekeeper.db?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    @property
    def log_bytes(self) -> int:
        return sum(file.stat().st_blocks * 512 for file in (self._folder / "logs").rglob("*"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


@contextmanager
def busy(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def beats(session: Any) -> list[float]:
    """Seconds until each of them was answered."""
    took = []
    for seq in range(1, BEATS + 1):
        begun = time.perf_counter()
        await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=seq)))
        assert (await session.read()).heartbeat_ack.seq == seq
        took.append(time.perf_counter() - begun)
        time.sleep(BETWEEN_SECONDS)  # the pace of the beats; nothing else goes on here
    return took


async def test_a_flood_of_logs_leaves_the_others_heartbeats_and_the_disk(server: Server, tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gamekeeper.db")
    async with database.write() as rows:
        rows.add(RunRow(id=RUN, pipeline="flood"))
        await rows.flush()
        rows.add(StepRow(run_id=RUN, name="work", node_id="n-0000", state="running", try_number=1))
    await database.close()
    where: Any = SimpleNamespace(link_address=server.link)
    other = RawAgent(where, server.join("n-0001"))
    session = await other.hello()
    await beats(session)
    with busy("-c", "while True: pass"):
        alone = await beats(session)
    flooder, given = server.join("n-0000").good_credentials, tmp_path / "flooder.json"
    fields = {"key": NODE_KEY, "certificate": flooder.chain, "roots": flooder.roots, "run": RUN, "address": server.link}
    given.write_text(json.dumps(fields))
    with busy("-m", "tests.chaos.flood.flooder", str(given)) as flooding:
        server.until(given.with_suffix(".begun").exists)
        api = psutil.Process(server.process.pid)
        before = api.cpu_times().user
        beside = await beats(session)
        worked = api.cpu_times().user - before
        assert flooding.poll() is None
        late = "SELECT kind FROM events WHERE node = 'n-0001' AND kind IN ('node.suspect', 'node.offline')"
        assert server.told(late) == [], "the other one, that is: a flooder need not beat"
        server.until(lambda: server.told("SELECT 1 FROM events WHERE kind = 'run.logs_cut'"))
    first, second = (statistics.quantiles(taken, n=100)[-1] * 1000 for taken in (alone, beside))
    log.info("p99 of a heartbeat: %.1f ms, %.1f ms beside the flood, which cost %.1f s", first, second, worked)
    assert second <= SLOWER * first
    assert server.log_bytes < QUOTAS["RUN"] + 20 * MIB, "of the notes on what is missing at the most"
    await other.dial.close()
