"""The times of lines, and the one order of lines from machines whose clocks disagree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log import LogEnd, LogStream
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOON = 1_800_000_000 * SECOND


async def agent_with_clock(api: ApiUnderTest, node: str, ahead_ns: int) -> RawAgent:
    """A session whose agent has told how far its clock is ahead."""
    await api.add_node(node)
    raw = RawAgent(api, await api.enrol(node))
    call = await raw.hello()
    beat = pb.Heartbeat(seq=1, sent_ns=NOON, clock_offset_ns=ahead_ns, round_trip_ns=1000)
    await call.write(pb.AgentMessage(heartbeat=beat))
    await call.read()
    return raw


async def upload(raw: RawAgent, key: pb.ContainerKey, lines: dict[int, int]) -> None:
    """Lines ``n`` with the node's own time of each, and the end of the log."""

    async def batches() -> AsyncIterator[pb.LogBatch]:
        records = [pb.LogRecord(seq=seq, stream=1, ts_ns=ns, data=b"line %d\n" % seq) for seq, ns in lines.items()]
        end = pb.LogRecord(seq=len(lines) + 1, stream=LogStream.END, data=LogEnd(True).encode())
        yield pb.LogBatch(key=key, records=[*records, end])

    await raw.dial.bulk.UploadLogs(batches(), metadata=raw.metadata)


async def test_lines_of_two_nodes_merge_in_one_true_order(api: ApiUnderTest) -> None:
    first = await agent_with_clock(api, "node-1", HOUR)
    second = await agent_with_clock(api, "node-2", -HOUR)
    await api.start_control_worker()
    image: dict[str, Any] = {"container": {"image": "image"}, "needs": []}
    run = await api.submit({"name": "a", "node": "node-1"} | image, {"name": "b", "node": "node-2"} | image)
    for step in ("a", "b"):
        await api.until_step(run["id"], step, "starting")
    await upload(
        first, key_to_pb(StepKey(run_id=run["id"], step="a", try_=1)), {1: NOON + HOUR, 2: NOON + HOUR + 2 * SECOND}
    )
    await upload(second, key_to_pb(StepKey(run_id=run["id"], step="b", try_=1)), {1: NOON - HOUR + SECOND, 2: NOON})

    answer = await api.http.get(f"/runs/{run['id']}/logs")
    lines = [json.loads(text) for text in answer.text.splitlines()]
    assert [(line["step"], line["text"]) for line in lines] == [
        ("a", "line 1\n"),
        ("b", "line 1\n"),
        ("a", "line 2\n"),
        ("b", "line 2\n"),
    ]
    assert lines[0]["at"] == "2027-01-15T08:00:00+00:00"
    assert lines[0]["node_at"] == "2027-01-15T09:00:00+00:00"
    event = await first_line(api, run["id"], "b")
    assert (event["at"], event["node_at"]) == ("2027-01-15T08:00:01+00:00", "2027-01-15T07:00:01+00:00")
    assert event["clock_offset_ms"] == -3_600_000
    for raw in (first, second):
        await raw.dial.close()


async def first_line(api: ApiUnderTest, run_id: str, step: str) -> dict[str, Any]:
    answer: httpx.Response = await api.http.get(f"/runs/{run_id}/steps/{step}/logs", params={"follow": True})
    data = next(line for line in answer.text.splitlines() if line.startswith("data:"))
    found: dict[str, Any] = json.loads(data.removeprefix("data:"))
    return found


async def test_a_run_that_is_not_there(api: ApiUnderTest) -> None:
    assert (await api.http.get("/runs/nothing/logs")).status_code == 404
