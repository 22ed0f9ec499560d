"""The price and the speed of alarms: ``make bench-alarms``.

A look at 1,000 nodes and 10,000 instances by the default rules, where nothing is wrong; then 10,000 alarms at once, on
SQLite and PostgreSQL. Then a whole stack with a receiver on loopback: from a run's failure, and from the moment in
which an agent is stopped, to the first request at the receiver.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlmodel import update

from bench.placement import database_urls
from bench.stack import NODE, stack
from gamekeeper.control_plane.alarm.rounds import AlarmRounds
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import ChannelRow, InstanceRow, NodeRow

NODES, INSTANCES = 1000, 10_000
ROUNDS, FAULTS = 5, 10
TARGET_LOOK, TARGET_RUN, TARGET_NODE = 1.0, 2.0, 15.0
console = Console()


def main() -> None:
    asyncio.run(_looks())
    _latencies()


async def _looks() -> None:
    table = Table("database", "a look, nothing wrong", "10,000 alarms at once", "a look at them")
    for name, url in database_urls():
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        await _fill(database)
        rounds = AlarmRounds(database)
        await rounds.look()
        quiet = [await _look(rounds) for _ in range(ROUNDS)]
        async with database.write() as session:
            await session.exec(update(InstanceRow).values(state="failed", message="no such image"))
        at_once = await _look(rounds)
        loud = [await _look(rounds) for _ in range(ROUNDS)]
        table.add_row(name, f"{statistics.median(quiet):.2f} s", f"{at_once:.2f} s", f"{statistics.median(loud):.2f} s")
        await database.close()
    console.print(f"{NODES} nodes, {INSTANCES} instances, the default rules; target {TARGET_LOOK:.0f} s a look")
    console.print(table)


async def _look(rounds: AlarmRounds) -> float:
    rounds._whole_at = None
    begun = time.perf_counter()
    await rounds.look()
    return time.perf_counter() - begun


async def _fill(database: Database) -> None:
    async with database.write() as session:
        session.add_all([NodeRow(id=f"n{number}", name=f"n{number}", status="online") for number in range(NODES)])
        session.add_all(
            [
                InstanceRow(id=f"i{number}", node_id=f"n{number % NODES}", state="ready", started_workflow=True)
                for number in range(INSTANCES)
            ]
        )
        session.add(ChannelRow(name="hook", spec={"type": "webhook"}))


class _Receiver(ThreadingHTTPServer):
    """``came`` has the time and the message of each request."""

    def __init__(self) -> None:
        self.came: list[tuple[float, dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def wait_for(self, title: str, begun: float, limit: float = 60.0) -> float:
        """Seconds from ``begun`` to the first message whose title begins so."""
        while time.monotonic() - begun < limit:
            for at, message in list(self.came):
                if at > begun and message["title"].startswith(title):
                    return at - begun
            time.sleep(0.005)
        raise SystemExit(f"no message {title!r} in {limit:.0f} s")


class _Handler(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        at = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((at, json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def _receiving() -> Iterator[_Receiver]:
    receiver = _Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


def _latencies() -> None:
    os.environ["GAMEKEEPER_CHANNEL_NETWORKS"] = "127.0.0.0/8"
    with _receiving() as receiver, stack() as made:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/"
        made.http.put("/channels/hook", json={"type": "webhook", "url": url, "burst": 100}).raise_for_status()
        failed = []
        for number in range(FAULTS):
            step = {"name": "ask", "type": "approval", "approval": {"message": "go?"}}
            spec = {"name": f"bench-{number}", "steps": [step]}
            run = made.http.post("/runs", json={"spec": spec}).raise_for_status().json()["id"]
            while made.http.get(f"/runs/{run}").json()["steps"][0]["state"] != "running":
                time.sleep(0.05)
            begun = time.monotonic()
            made.http.post(f"/runs/{run}/steps/ask/approval", json={"approved": False}).raise_for_status()
            failed.append(receiver.wait_for(f"Run failed: pipeline bench-{number}", begun))
        pid, begun = made.pid("agent"), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        node = receiver.wait_for(f"Node offline: node {NODE}", begun)
    worst = max(failed)
    console.print(
        f"failed run to its message: median {statistics.median(failed):.2f} s, longest {worst:.2f} s of {FAULTS}; "
        f"target {TARGET_RUN:.0f} s\nagent stopped to its message: {node:.1f} s; target {TARGET_NODE:.0f} s"
    )


if __name__ == "__main__":
    main()
