"""Measures how fast a burst of 200,000 lines reaches a viewer, on a stack of its own: ``make bench-console``.

    at once      the server prints a file, as at its start
    line by line the server writes each line by itself, as a chatty one does
    two viewers  at once, to two of them

A viewer is a WebSocket client in this process, from the line that is typed to the last line that is read; all lines
have to be there, in their order. The floor is a reader that is attached by the Engine's own API and only counts, in
turns. Medians. Two cores are shared by server, engine, agent, api and viewer, so the ratio says more than the lines.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
from websockets.asyncio.client import connect

from bench.stack import NODE, Stack
from tests.fixtures.docker import TEST_IMAGE, ensured_image

LINES = 200_000
ROUNDS = 7
TARGET = 72_000
EXPECTED = b"".join(b"%d of a server\n" % number for number in range(1, LINES + 1)) + b"over\n"
SERVER = f"""
each() {{ i=0; while [ $i -lt {LINES} ]; do i=$((i + 1)); echo "$i of a server"; done; }}
each > /tmp/lines
echo up
while read line; do
  case $line in
    once) cat /tmp/lines; echo over;;
    each) each; echo over;;
    *) echo "hello $line";;
  esac
done
"""


class Bench:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.name = f"bench-{secrets.token_hex(3)}"
        self.client = docker.from_env()

    def begin(self) -> None:
        container = {"image": TEST_IMAGE, "command": ["sh", "-c", SERVER]}
        made = self.stack.http.post("/instances", json={"id": self.name, "node": NODE, "container": container})
        made.raise_for_status()
        while b"up\n" not in self.stack.http.get(f"/instances/{self.name}/logs").content:
            time.sleep(0.1)
        self.container = self.client.containers.get(f"gk-i-{self.name}-1")

    async def viewers(self, line: str, count: int) -> float:
        """Seconds until the last of them has all."""
        url = f"ws://{self.stack.rest_address}/api/v1/instances/{self.name}/console?history=0"
        headers = {"Authorization": f"Bearer {self.stack.api_key}"}
        opened = [await connect(url, additional_headers=headers, max_size=None, compression=None) for _ in range(count)]
        for viewer in opened:
            await _attached(viewer)
        begun = time.perf_counter()
        reading = [asyncio.create_task(_read(viewer)) for viewer in opened]
        await opened[0].send(b"\x00" + line.encode() + b"\n")
        for found in await asyncio.gather(*reading):
            lines = found[found.index(b"1 of a server\n") :]  # behind the hello of the others
            assert lines == EXPECTED, f"{len(EXPECTED) - len(lines)} bytes are missing: {lines[-200:]!r}"
        spent = time.perf_counter() - begun
        for viewer in opened:
            await viewer.close()
        return spent

    def floor(self, line: str) -> float:
        """Seconds of a reader of the Engine's own stream that only counts."""
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached: Any = self.client.api.attach_socket(str(self.container.id), parameters)
        taking = attached._sock
        begun = time.perf_counter()
        taking.sendall(line.encode() + b"\n")
        last = b""
        while not last.endswith(b"over\n"):
            piece = taking.recv(1 << 18)
            assert piece, "the engine closed it"
            last = (last + piece)[-16:]
        spent = time.perf_counter() - begun
        taking.shutdown(socket.SHUT_RDWR)  # or it holds the server up, as any viewer does who stops reading
        return spent


async def _attached(viewer: Any) -> None:
    """Waits for an answer: until then the engine may not have the viewer yet."""
    name = secrets.token_hex(4)
    await viewer.send(f"\0{name}\n".encode())
    await _read(viewer, f"hello {name}\n".encode())


async def _read(viewer: Any, end: bytes = b"over\n") -> bytes:
    found = bytearray()
    while not found.endswith(end):
        message = await viewer.recv()
        if isinstance(message, bytes):
            found += message[1:]
    return bytes(found)


async def measure(bench: Bench, what: str, line: str, count: int) -> None:
    ours, floors = [], []
    for _ in range(ROUNDS):
        floors.append(LINES / await asyncio.to_thread(bench.floor, line))
        ours.append(LINES / await bench.viewers(line, count))
    rate, floor = statistics.median(ours), statistics.median(floors)
    words = f"{rate:8.0f} lines/s, none lost; the Engine's own stream {floor:8.0f}, ratio {rate / floor:.2f}"
    print(f"{what:24} {words} (at least {TARGET})", flush=True)


async def main() -> int:
    ensured_image()
    with tempfile.TemporaryDirectory(prefix="gk-bench-") as folder:
        stack = Stack(Path(folder))
        try:
            bench = Bench(stack)
            await asyncio.to_thread(bench.begin)
            await measure(bench, "at once", "once", 1)
            await measure(bench, "line by line", "each", 1)
            await measure(bench, "at once, two viewers", "once", 2)
        finally:
            stack.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
