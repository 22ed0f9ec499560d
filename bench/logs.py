"""The log path, from a container's stdout to the server's disk: ``make bench-logs``.

    steady    1 GiB from one step; the floor is a reader of the engine's log that keeps nothing
    kill      the same, the agent killed (SIGKILL) in the middle
    cut       the same, the agent's network cut for a minute in the middle (its traffic goes through a proxy here)

Every log is downloaded and compared by SHA-256. Memory is the agent's resident peak, its CPU that of the whole run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import docker
import psutil
from rich.console import Console
from rich.table import Table

from bench.proxy import Proxy
from bench.stack import GAMEKEEPER, NODE, Stack, stack
from scripts.base_image import ensure_base_image

CUT_SECONDS = 60.0
BEHIND = "127.0.0.2"  # the proxies listen there, on the ports of what is behind them
NUMBER = 10  # digits at the beginning of each line


@dataclass
class Measured:
    name: str
    size: int
    seconds: float
    is_equal: bool
    peak_mb: float
    cpu_seconds: float


def writer(size: int, line: int) -> tuple[list[str], int, str]:
    """The command that writes numbered lines, how many bytes it writes, and their SHA-256."""
    count, padding = size // line, line - NUMBER - 2
    command = ["perl", "-e", f'my $p="x"x{padding};for(1..{count}){{printf "%0{NUMBER}d %s\\n",$_,$p}}']
    digest, tail = hashlib.sha256(), b" " + b"x" * padding + b"\n"
    for number in range(1, count + 1):
        digest.update(b"%0*d" % (NUMBER, number) + tail)
    return command, count * line, digest.hexdigest()


def floor(client: docker.DockerClient, image: str, command: list[str]) -> float:
    """Seconds until a follower that throws everything away has read it to the end."""
    log_config = docker.types.LogConfig(type="local", config={"max-size": "16g", "compress": "false"})
    config = client.api.create_host_config(log_config=log_config)
    container = client.api.create_container(image, command, host_config=config)["Id"]
    begin = time.perf_counter()
    client.api.start(container)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect("/var/run/docker.sock")
        path = f"/containers/{container}/logs?stdout=1&stderr=1&timestamps=1&follow=1"
        engine.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        while engine.recv(1 << 20):
            pass
    took = time.perf_counter() - begin
    client.api.wait(container)
    client.api.remove_container(container)
    return took


class Watch:
    """The peak memory and the CPU of an agent, whichever process it is at the time."""

    def __init__(self, pid: Callable[[], int]) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self.peak_mb = 0.0
        self._cpu: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def _run(self) -> None:
        pid, first = 0, 0.0
        while not self._stop.wait(0.25):
            try:
                if not psutil.pid_exists(pid):
                    pid = self._pid()
                    first = sum(psutil.Process(pid).cpu_times()[:2]) if not self._cpu else 0.0
                process = psutil.Process(pid)
                self.peak_mb = max(self.peak_mb, process.memory_info().rss / 1e6)
                self._cpu[pid] = sum(process.cpu_times()[:2]) - first
            except (psutil.Error, OSError, ValueError, subprocess.CalledProcessError):
                continue  # between two processes


def is_complete(bench: Stack, run_id: str) -> bool:
    with bench.http.stream("GET", f"/runs/{run_id}/steps/work/logs") as answer:
        return answer.headers["gamekeeper-log-complete"] == "true"


def measure(
    name: str,
    bench: Stack,
    image: str,
    shape: tuple[int, int],
    *,
    node: str = NODE,
    pid: Callable[[], int],
    disturb: Callable[[], None] = lambda: None,
) -> Measured:
    """Measures from the start of the container until the server has the whole log."""
    command, size, wanted = writer(*shape)
    with Watch(pid) as watch:
        run_id = bench.submit(
            {"name": "work", "timeout": "1h", "container": {"image": image, "command": command}}, node=node
        )
        while bench.http.get(f"/runs/{run_id}").json()["steps"][0]["state"] != "running":
            time.sleep(0.05)
        begin = time.perf_counter()
        disturb()
        bench.ended(run_id)
        while not is_complete(bench, run_id):
            time.sleep(0.4)  # seldom: asking loads the machine that is measured
        took = time.perf_counter() - begin
    found = hashlib.sha256()
    with bench.http.stream("GET", f"/runs/{run_id}/steps/work/logs") as answer:
        for part in answer.iter_bytes():
            found.update(part)
    return Measured(name, size, took, found.hexdigest() == wanted, watch.peak_mb, watch.cpu_seconds)


@contextmanager
def agent_behind_proxy(bench: Stack) -> Iterator[tuple[Proxy, int]]:
    """A second node, whose link goes through a proxy, and its agent's pid."""
    (host, link), (_, rest) = (address.split(":") for address in (bench.link_address, bench.rest_address))
    folder = bench.folder / "behind"
    folder.mkdir()
    with (
        Proxy((host, int(link)), (BEHIND, int(link))) as proxy,
        Proxy((host, int(rest)), (BEHIND, int(rest))) as joining,
        (folder / "agent.log").open("wb") as output,
    ):
        arguments = ["--server", joining.address, "--token", bench.enrol("behind"), "--state-dir", str(folder)]
        process = subprocess.Popen([GAMEKEEPER, "agent", *arguments], stdout=output, stderr=output)
        try:
            while bench.http.get("/nodes/behind").json()["status"] != "online":
                time.sleep(0.1)
            yield proxy, process.pid
        finally:
            process.terminate()
            process.wait()


def run(size: int, bench: Stack, image: str) -> Iterator[Measured]:
    def kill() -> None:
        time.sleep(5)
        os.kill(bench.pid("agent"), 9)

    pid = lambda: bench.pid("agent")  # noqa: E731
    yield measure("1 KiB lines", bench, image, (size, 1024), pid=pid)
    yield measure("12 KiB lines", bench, image, (size, 12 * 1024), pid=pid)
    yield measure("agent killed after 5 s", bench, image, (size, 1024), pid=pid, disturb=kill)
    with agent_behind_proxy(bench) as (proxy, behind):

        def cut() -> None:
            time.sleep(5)
            proxy.cut()
            time.sleep(CUT_SECONDS)
            proxy.mend()

        yield measure(
            f"network cut for {CUT_SECONDS:.0f} s",
            bench,
            image,
            (size, 1024),
            node="behind",
            pid=lambda: behind,
            disturb=cut,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    size = parser.parse_args().mib * 1024 * 1024
    client = docker.from_env()
    image = ensure_base_image(client)
    table = Table("1 step writes", "size", "took", "MB/s", "SHA-256", "agent peak", "agent CPU")
    for line in (1024, 12 * 1024):
        took = floor(client, image, writer(size, line)[0])
        table.add_row(
            f"floor, {line // 1024} KiB lines", f"{size / 1e6:.0f} MB", f"{took:.1f} s", f"{size / 1e6 / took:.1f}"
        )
    with stack() as bench:
        for item in run(size, bench, image):
            table.add_row(
                item.name,
                f"{item.size / 1e6:.0f} MB",
                f"{item.seconds:.1f} s",
                f"{item.size / 1e6 / item.seconds:.1f}",
                "equal" if item.is_equal else "DIFFERENT",
                f"{item.peak_mb:.0f} MB",
                f"{item.cpu_seconds:.1f} s",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
