"""The example programs of the node link: alone, and the minimal agent against the real server."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

EXAMPLES = Path(__file__).parents[2] / "examples" / "node_link"


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=EXAMPLES.parents[1],
        env={"PYTHONPATH": str(EXAMPLES.parents[1])},
    )
    output, errors = await asyncio.wait_for(process.communicate(), HANG_SECONDS)
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.parametrize("name", ["server", "client", "both"])
def test_they_are_short_enough_to_read(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 100


async def test_server_and_agent_in_one_process() -> None:
    output = await run(str(EXAMPLES / "both.py"))
    assert re.findall(r"epoch (\d)", output) == ["1", "1", "2", "2"]
    assert len(re.findall(r"beat \d: \d+\.\d\d ms, clock off by -?\d+\.\d\d ms", output)) == 4


async def test_the_minimal_agent_speaks_with_the_real_server(api: ApiUnderTest) -> None:
    await api.add_node("toy")
    output = await run(str(EXAMPLES / "client.py"), await api.serve_rest(), await api.new_token("toy"), "2")
    assert "welcomed as toy, epoch 1" in output
    found = (await api.http.get("/nodes/toy")).json()
    assert (found["status"], found["system"]["hostname"]) == ("online", "toy")
