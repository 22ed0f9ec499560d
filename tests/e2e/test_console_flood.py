"""A server that writes a megabyte a second while people look on, one of whom has stopped reading."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack, node_id
from tests.hang import HANG_SECONDS

CHUNKS, PER_CHUNK = 160, 1_000
COUNT = CHUNKS * PER_CHUNK
NOTE = re.compile(rb"\[(\d+) lines \((\d+) bytes\) .*: gamekeeper instance logs (.*)\]")
# the end of each chunk lacks the padding, which costs nothing: lines are known by their number
SCRIPT = f"""
pad=$(printf %092d 0)
echo up
while read line; do
  i=0
  while [ $i -lt {CHUNKS} ]; do
    seq -s " $pad
" $((i * {PER_CHUNK} + 1)) $((i * {PER_CHUNK} + {PER_CHUNK}))
    i=$((i + 1))
    sleep 0.08
  done
  echo over
done
"""
GROWTH_BYTES = 48 * 2**20
SMALL = 64 * 1024


@pytest.fixture
def server(stack: Stack) -> Iterator[str]:
    name = node_id("flood")
    stack.command("instance", "create", name, "--image", stack.image, "--node", stack.node, "--", "sh", "-c", SCRIPT)
    yield name
    stack.command("instance", "rm", name, "--volumes", "--yes")


@contextmanager
def viewer(stack: Stack, name: str) -> Iterator[ClientConnection]:
    """One who takes no more from the network than is read here."""
    state = StateDir(stack.state_dir)
    url = urlsplit(state.load().rest_url)
    assert url.hostname is not None
    taking = socket.socket()
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    taking.connect((url.hostname, url.port))
    path = f"ws://{url.netloc}/api/v1/instances/{name}/console?history=0"
    headers = {"Authorization": f"Bearer {state.key_file.read_text().strip()}"}
    options = {"max_size": None, "compression": None, "ping_interval": None, "max_queue": 1}
    with connect(path, sock=taking, additional_headers=headers, **options) as made:  # type: ignore[arg-type]
        assert isinstance(made.recv(HANG_SECONDS), str)  # who looks on: it is open
        yield made


def read_to_the_end(connection: ClientConnection) -> tuple[bytes, bytes]:
    """All output, and what was said besides, up to the server's last line."""
    out, aside = bytearray(), bytearray()
    while not out.endswith(b"over\n"):
        message = connection.recv(HANG_SECONDS)
        if isinstance(message, bytes):
            (out if message[0] == 1 else aside).extend(message[1:])
    return bytes(out), bytes(aside)


def numbers(out: bytes) -> list[int]:
    return [int(line.split()[0]) for line in out.splitlines() if line[:1].isdigit()]


@pytest.mark.timeout(300)
def test_a_flood_with_a_viewer_that_stopped_reading(stack: Stack, server: str) -> None:
    agent = psutil.Process(stack.pid("agent"))
    before = agent.memory_info().rss
    with viewer(stack, server) as stuck, viewer(stack, server) as reading:
        found: list[tuple[bytes, bytes]] = []
        taking = threading.Thread(target=lambda: found.append(read_to_the_end(reading)))
        taking.start()
        reading.send(b"\x00go\n")
        taking.join(2 * HANG_SECONDS)
        ((out, aside),) = found
        assert (numbers(out), aside) == (list(range(1, COUNT + 1)), b""), "whoever reads misses nothing"
        assert agent.memory_info().rss - before < GROWTH_BYTES

        late, told = read_to_the_end(stuck)
        notes = [(int(count), where.decode()) for count, _, where in NOTE.findall(told)]
        assert notes, "more was written than is kept for a viewer"
        assert {where for _, where in notes} == {server}
        assert late.count(b"\n") + sum(count for count, _ in notes) == COUNT + 1
        assert numbers(late)[-1] == COUNT

    def logged() -> bool:
        return stack.get(f"/instances/{server}/logs?tail=1").text == "over\n"

    stack.until(logged)
    assert numbers(stack.get(f"/instances/{server}/logs").content) == list(range(1, COUNT + 1)), "the log has all of it"
