"""Viewers who come at any moment to a server that counts as fast as it can: each sees one run of numbers."""

from __future__ import annotations

import random
import time
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from agent_worker.docker_engine.joining import UNKNOWN
from gamekeeper.stack.layout import StateDir
from tests.e2e.test_console_flood import NOTE
from tests.fixtures.stack import Stack, node_id
from tests.hang import HANG_SECONDS

COUNT = f'i=0; while true; do i=$((i + 1)); echo "$i {"x" * 60}"; done'
LINES = 500


@pytest.mark.timeout(300)
def test_each_viewer_sees_one_run_of_numbers(stack: Stack) -> None:
    name, state = node_id("counter"), StateDir(stack.state_dir)
    stack.command("instance", "create", name, "--image", stack.image, "--node", stack.node, "--", "sh", "-c", COUNT)
    path = f"ws://{urlsplit(state.load().rest_url).netloc}/api/v1/instances/{name}/console?history=50"
    headers = {"Authorization": f"Bearer {state.key_file.read_text().strip()}"}
    chance = random.Random(name)
    try:
        for _ in range(10):
            time.sleep(chance.random() / 20)
            out = b""
            with connect(path, additional_headers=headers, max_size=None, compression=None) as viewer:
                while out.count(b"\n") < LINES:
                    message = viewer.recv(HANG_SECONDS)
                    if isinstance(message, bytes):
                        assert message[0] == 1 or NOTE.search(message) or UNKNOWN in message, message[:200]
                        if message[0] != 1:
                            break  # a viewer who is too slow is told, and one of whom the agent is not sure
                        out += message[1:]
            numbers = [int(line.split()[0]) for line in out.split(b"\n")[:-1]]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        stack.command("instance", "rm", name, "--volumes", "--yes")
