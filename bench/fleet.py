"""A thousand agents on one control plane: ``make bench-fleet``.

For SQLite, then PostgreSQL: the api's CPU and memory while simulated agents beat and report every 5 s, the round trip
of a heartbeat as one more agent sees it, and how long after ``kill -9`` of the api all sessions are back. The floor of
the round trip is the same message to a server that does nothing but answer. Everything shares this machine.

Then the api is held to a third of the CPU that it was measured to need: the sessions that it loses meanwhile, the nodes
that it calls lost, and how long after it is free again all are there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import psycopg
from httpx_sse import SSEError, connect_sse
from rich.console import Console
from rich.table import Table

from agent_worker.identity import Credentials
from agent_worker.node_link.dial import Dial
from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from bench.stack import GAMEKEEPER, Stack, stack
from gamekeeper import __version__
from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION
from scripts.cpu_quota import held_to
from scripts.postgres import USER, postgres_server

SETTLE_SECONDS = 30.0
STEADY_SECONDS = 60.0
BEAT_SECONDS = 0.1
HELD_SECONDS = 60.0
LATER_SECONDS = 30.0  # after which a node that did not come back would have been called lost


@dataclass
class Held:
    """The fleet of an api that had a third of the CPU that it needs."""

    sessions_lost: int
    called_lost: int
    back_seconds: float


@dataclass
class Measured:
    name: str
    cpu_percent: float
    memory_mb: float
    beats_ms: list[float]
    back_seconds: float
    lost: int
    held: Held


@contextmanager
def fleet(bench: Stack, count: int) -> Iterator[None]:
    """``count`` simulated agents, all online."""
    folder = bench.folder / "fleet"
    folder.mkdir()
    arguments = ["--server", bench.rest_address, "--engine", "dummy", "--simulate", str(count)]
    command = [GAMEKEEPER, "--state-dir", str(bench.folder / "state"), "agent", *arguments, "--state-dir", str(folder)]
    with (folder / "agents.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            while online(bench) < count + 1:  # and the node of the stack itself
                assert process.poll() is None, (folder / "agents.log").read_text()[-2000:]
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait()


def online(bench: Stack) -> int:
    text = bench.http.get(bench.http.base_url.copy_with(path="/metrics")).text
    return sum(
        int(float(line.split()[1])) for line in text.splitlines() if line.startswith('gamekeeper_nodes{status="online"')
    )


def wait_for_sessions(bench: Stack, after: int, count: int) -> None:
    """Waits until so many nodes have opened a session behind event ``after``. Each event is sent once: asking again
    would load the very process that is coming back."""
    nodes: set[str] = set()
    parameters = {"kind": "node.session_opened", "follow": "true"}
    while len(nodes) < count:
        headers = {"Last-Event-ID": str(after)}
        try:
            with connect_sse(bench.http, "GET", "/events", params=parameters, headers=headers) as source:
                for event in source.iter_sse():
                    if event.data and event.event not in ("gap", "end"):
                        fields = json.loads(event.data)
                        after = fields["seq"]
                        nodes.add(fields["node"])
                    if len(nodes) >= count:
                        return
        except (httpx.HTTPError, SSEError):
            time.sleep(0.1)  # it is not up yet


def newest_event(bench: Stack) -> int:
    return int(bench.http.get("/events", params={"limit": 1}).json()["items"][0]["seq"])


async def beat(stub: Any, metadata: tuple[tuple[str, str], ...], seconds: float) -> list[float]:
    """Round trips in milliseconds of a session's heartbeats."""
    call = stub.Session(metadata=metadata)
    await call.write(pb.AgentMessage(hello=pb.Hello(protocol_version=PROTOCOL_VERSION, agent_version=__version__)))
    await call.read()
    trips: list[float] = []
    for seq in range(1, int(seconds / BEAT_SECONDS) + 1):
        begin = time.perf_counter()
        await call.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=seq, sent_ns=time.time_ns())))
        await call.read()
        trips.append((time.perf_counter() - begin) * 1000)
        await asyncio.sleep(BEAT_SECONDS)
    call.cancel()
    return trips


async def beats_of_one_more(bench: Stack) -> list[float]:
    servers = parse_servers(bench.rest_address)
    identity = await Joining(servers, own_key(bench.folder / "probe")).join(bench.enrol("probe"))
    dial = Dial(servers[0].at(identity.link_port), identity.good_credentials)
    try:
        return await beat(dial.control, (), STEADY_SECONDS)
    finally:
        await dial.close()


class Echo(pb_grpc.NodeLinkServicer):
    """The floor."""

    async def Session(self, messages: AsyncIterator[pb.AgentMessage], _: Any) -> AsyncIterator[pb.ServerMessage]:
        async for message in messages:
            yield pb.ServerMessage(heartbeat_ack=pb.HeartbeatAck(seq=message.heartbeat.seq))


async def floor() -> list[float]:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority.ensure(Path(folder, "ca"), "of the floor's alone", now)
    own, roots, key = authority.issue_server([], now), authority.roots_pem(now), new_key()
    chain = authority.issue_node(csr(key), "floor", 1, now).chain_pem
    pair = (own.key_pem.encode(), own.chain_pem.encode())
    server = grpc.aio.server()
    pb_grpc.add_NodeLinkServicer_to_server(Echo(), server)  # type: ignore[abstract]
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([pair], roots.encode(), require_client_auth=True)
    )
    await server.start()
    dial = Dial(f"127.0.0.1:{port}", Credentials(key, chain, roots, time.time(), 86_400))
    trips = await beat(dial.control, (), 10)
    await dial.close()
    await server.stop(0)
    return trips


def back_after_kill(bench: Stack, count: int) -> tuple[float, int]:
    """Seconds until every session was opened anew, and how many nodes were called lost until some time later."""
    before = newest_event(bench)
    os.kill(bench.pid("api"), 9)
    begin = time.perf_counter()
    wait_for_sessions(bench, before, count + 1)
    took = time.perf_counter() - begin
    time.sleep(LATER_SECONDS)
    return took, nodes_of(bench, "node.offline", before)


def nodes_of(bench: Stack, kind: str, after: int) -> int:
    """The number of nodes that had such an event since; 500 stands for that many or more."""
    items = bench.http.get("/events", params={"kind": kind, "limit": "500"}).json()["items"]
    return len({item["node"] for item in items if item["seq"] > after})


def held_to_a_third(bench: Stack, api: psutil.Process, count: int) -> Held:
    time.sleep(SETTLE_SECONDS)
    api.cpu_percent()
    time.sleep(SETTLE_SECONDS)
    cores, before = api.cpu_percent() / 100 / 3, newest_event(bench)
    with held_to(api.pid, cores):
        time.sleep(HELD_SECONDS)
    begin = time.perf_counter()
    while online(bench) < count + 1:
        time.sleep(0.2)
    took = time.perf_counter() - begin
    return Held(nodes_of(bench, "node.session_opened", before), nodes_of(bench, "node.offline", before), took)


def measure(name: str, count: int, *options: str) -> Measured:
    with stack(*options) as bench, fleet(bench, count):
        time.sleep(SETTLE_SECONDS)
        api = psutil.Process(bench.pid("api"))
        api.cpu_percent()
        beats = asyncio.run(beats_of_one_more(bench))
        cpu, memory = api.cpu_percent(), api.memory_info().rss / 1e6
        bench.http.delete("/nodes/probe").raise_for_status()  # it has gone, and is not to be counted as lost
        back, lost = back_after_kill(bench, count)
        held = held_to_a_third(bench, psutil.Process(bench.pid("api")), count)
    return Measured(name, cpu, memory, beats, back, lost, held)


def percentile_99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    arguments = parser.parse_args()
    count = arguments.agents
    lowest = asyncio.run(floor())
    rows = [measure("SQLite", count)] if arguments.database != "postgresql" else []
    if arguments.database != "sqlite":
        with postgres_server() as address:
            with psycopg.connect(f"postgresql://{USER}@{address}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
            rows.append(measure("PostgreSQL", count, "--database", f"postgresql+psycopg://{USER}@{address}/bench"))
    titles = (
        "database",
        "api CPU",
        "api memory",
        "beat median",
        "beat p99",
        "over floor p99",
        "back after kill -9",
        "lost",
        "at a third: sessions lost, called lost, all there after",
    )
    table = Table(*titles, title=f"{count} agents; the floor of a beat: {statistics.median(lowest):.1f} ms")
    for row in rows:
        p99 = percentile_99(row.beats_ms)
        table.add_row(
            row.name,
            f"{row.cpu_percent:.0f} % of a core",
            f"{row.memory_mb:.0f} MB",
            f"{statistics.median(row.beats_ms):.1f} ms",
            f"{p99:.1f} ms",
            f"{p99 / percentile_99(lowest):.1f}",
            f"{row.back_seconds:.1f} s",
            str(row.lost),
            f"{row.held.sessions_lost}, {row.held.called_lost}, {row.held.back_seconds:.1f} s",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
