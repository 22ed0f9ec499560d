"""An api that gets a third of the CPU that its fleet needs keeps the sessions that it has, and loses no node.

What the fleet needs is measured in the same run, and a control group holds the api to a third of it. No clock decides:
the events tell of sessions that were lost and of nodes that were called late.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gamekeeper.stack.ports import free_port
from scripts.cpu_quota import held_to
from tests.hang import HANG_SECONDS

log = logging.getLogger(__name__)

STAYING, COMING = 150, 30
SETTLING_SECONDS = 4.0
MEASURED_SECONDS = 5.0
HELD_SECONDS = 20.0  # two leases and a half
FLEET = """
import asyncio, sys
from pathlib import Path
from agent_worker.simulation import simulate
asyncio.run(simulate(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
"""


class Machine:
    """An api process, and fleets of made-up agents beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = free_port("127.0.0.1")
        arguments = [str(folder), str(self._rest), str(free_port("127.0.0.1")), str(STAYING + COMING)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self.api = psutil.Process(self._start("api", "-m", "tests.fixtures.lonely_api", *arguments).pid)
        self.until(lambda: (folder / "tokens.json").exists())
        tokens: dict[str, str] = json.loads((folder / "tokens.json").read_text())
        self.tokens = list(tokens.items())

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as output:
            self._processes.append(subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output))
        return self._processes[-1]

    def fleet(self, name: str, tokens: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Agents of these nodes, which come back by their keys where they were there before."""
        folder = self._folder / name
        is_known = folder.exists()
        folder.mkdir(exist_ok=True)
        given = folder / "tokens.json"
        given.write_text(json.dumps(dict.fromkeys(tokens, "") if is_known else dict(tokens)))
        return self._start(name, "-c", FLEET, f"127.0.0.1:{self._rest}", str(given), str(folder))

    def query(self, sql: str, *values: object) -> list[tuple[str, int]]:
        """Of the api's database, so that asking costs the api nothing."""
        connection = sqlite3.connect(f"file:{self._folder}/gamekeeper.db?mode=ro", uri=True, timeout=HANG_SECONDS)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def online(self) -> int:
        return self.query("SELECT 'online', count(*) FROM nodes WHERE status = 'online'")[0][1]

    def newest_event(self) -> int:
        return self.query("SELECT 'newest', max(seq) FROM events")[0][1]

    def told(self, after: int) -> Counter[tuple[str, str]]:
        """The number of events by kind and node."""
        rows = self.query("SELECT kind || ' ' || node, count(*) FROM events WHERE seq > ? GROUP BY 1", after)
        return Counter({tuple(name.split(" ", 1)): count for name, count in rows})  # type: ignore[misc]

    def until(self, found: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANG_SECONDS
        while not found():
            running = [process.poll() is None for process in self._processes]
            assert time.monotonic() < deadline, (running, (self._folder / "api.log").read_text()[-2000:])
            time.sleep(0.1)

    def needed_cores(self) -> float:
        time.sleep(SETTLING_SECONDS)  # sessions, subscriptions and inventories come one after another
        self.api.cpu_percent()
        time.sleep(MEASURED_SECONDS)
        return float(self.api.cpu_percent()) / 100

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.timeout(4 * HANG_SECONDS)
def test_an_api_with_a_third_of_its_cpu_keeps_its_sessions_and_takes_the_others_in_later(tmp_path: Path) -> None:
    with machine(tmp_path) as slow:
        slow.fleet("staying", dict(slow.tokens[:STAYING]))
        coming = slow.fleet("coming", dict(slow.tokens[STAYING:]))
        slow.until(lambda: slow.online() == STAYING + COMING)
        need = slow.needed_cores()
        coming.terminate()
        coming.wait()
        before = slow.newest_event()
        with held_to(slow.api.pid, need / 3):
            slow.fleet("coming", dict(slow.tokens[STAYING:]))
            time.sleep(HELD_SECONDS)  # the time is what is tested
        free = slow.newest_event()
        returning = {node for node, _ in slow.tokens[STAYING:]}
        slow.until(lambda: returning <= {node for kind, node in slow.told(before) if kind == "node.session_opened"})
        slow.until(lambda: slow.online() == STAYING + COMING)
        staying = {node for node, _ in slow.tokens[:STAYING]}
        told = slow.told(before)
        log.info("%.3f cores are needed; told meanwhile: %s", need, Counter(kind for kind, _ in told))
        bad = ("node.suspect", "node.offline", "node.session_opened", "node.condition_raised")
        assert {what: count for what, count in told.items() if what[1] in staying and what[0] in bad} == {}
        assert not [kind for kind, _ in slow.told(free) if kind in ("node.suspect", "node.offline")]
