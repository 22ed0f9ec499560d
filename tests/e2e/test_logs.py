"""Logs byte by byte: what a container writes is what a user downloads, whatever it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from tests.fixtures.stack import Stack

SCRIPTS = {
    # 100 MB without a newline; Docker before 23.0 swallows a newline behind a long line that is the very last
    "line": "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end",
    # every byte, sequences that are no UTF-8, colours and cursor movements
    "garbage": (
        r"""i=0; while [ $i -lt 256 ]; do printf "\\$(printf %03o $i)" >> /tmp/b; i=$((i+1)); done; """
        r"""for i in 1 2 3 4 5 6 7 8; do cat /tmp/b /tmp/b > /tmp/c; mv /tmp/c /tmp/b; done; cat /tmp/b; """
        r"""for i in 1 2 3 4 5 6 7 8; do """
        r"""printf '\377\376\300\200\355\240\200 \033[31mred\033[0m\033[2J\033[1;1H\r\000end\n'; done"""
    ),
}


EXPECTED = {
    "line": b"x" * 100_000_000 + b"\nend\n",
    "garbage": bytes(range(256)) * 256
    + b"\xff\xfe\xc0\x80\xed\xa0\x80 \x1b[31mred\x1b[0m\x1b[2J\x1b[1;1H\r\x00end\n" * 8,
}


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_every_byte_arrives(stack: Stack, name: str) -> None:
    quoted = SCRIPTS[name].replace("'", "''")
    run_id = stack.submit(f"""
name: {name}
steps:
  - name: work
    container:
      image: {stack.image}
      command: [sh, -c, '{quoted}']
""")
    assert stack.until_ended(run_id)["state"] == "succeeded"
    stack.until(lambda: _head(stack, run_id)["gamekeeper-log-complete"] == "true")
    found = hashlib.sha256()
    size = 0
    with _client(stack) as client, client.stream("GET", f"/runs/{run_id}/steps/work/logs") as answer:
        for part in answer.iter_bytes():
            found.update(part)
            size += len(part)
    assert size == len(EXPECTED[name])
    assert found.hexdigest() == hashlib.sha256(EXPECTED[name]).hexdigest()


def _client(stack: Stack) -> httpx.Client:
    status = stack.status()
    key = Path(status["api_key_file"]).read_text().strip()
    return httpx.Client(
        base_url=f"{status['api']['url']}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60
    )


def _head(stack: Stack, run_id: str) -> httpx.Headers:
    with _client(stack) as client, client.stream("GET", f"/runs/{run_id}/steps/work/logs") as answer:
        return answer.headers
