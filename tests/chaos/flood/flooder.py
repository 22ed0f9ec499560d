"""A node that was taken over: it uploads logs without end, of more tries of its step than there ever were.

``python -m tests.chaos.flood.flooder FILE`` reads where and as whom from ``FILE``, and makes one ``.begun`` beside it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import grpc

from agent_worker.identity import Credentials
from agent_worker.node_link.dial import Dial
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.log.log_pack import LinePacker
from gamekeeper.rpc.convert import key_to_pb, record_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.version import PROTOCOL_VERSION

AT_ONCE = 4
LINES = 250  # of a kilobyte, in one batch
BATCHES = 12  # in one upload


async def flood(path: Path) -> None:
    told = json.loads(path.read_text())
    dial = Dial(told["address"], Credentials(told["key"], told["certificate"], told["roots"], 0, 86_400))
    call = dial.control.Session()
    await call.write(pb.AgentMessage(hello=pb.Hello(protocol_version=PROTOCOL_VERSION, policy_json="{}")))
    welcome: Any = await call.read()
    metadata = (("gamekeeper-epoch", str(welcome.welcome.epoch)),)
    tries = count(1)
    path.with_suffix(".begun").touch()
    await asyncio.gather(*[_upload(dial, metadata, told["run"], tries) for _ in range(AT_ONCE)])


async def _upload(dial: Dial, metadata: Any, run: str, tries: count[int]) -> None:
    while True:
        with suppress(grpc.aio.AioRpcError):
            await dial.upload_logs(_batches(run, next(tries) % 9999 + 1), metadata=metadata)


async def _batches(run: str, number: int) -> AsyncIterator[bytes]:
    key = key_to_pb(StepKey(run_id=run, step="work", try_=number))
    for index in range(BATCHES):
        lines = LinePacker()
        for _ in range(LINES):
            lines.add(LogStream.STDOUT, 1, b"x" * 1023 + b"\n")
        record = record_to_pb(lines.record((index + 1) * LINES))
        yield pb.LogBatch(key=key, records=[record]).SerializeToString()


if __name__ == "__main__":
    asyncio.run(flood(Path(sys.argv[1])))
