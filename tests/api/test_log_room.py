"""The server's disk and the nodes that write to it: who is held back, who is told, what makes room, what goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.logs.files import LogFiles
from api.logs.open_log import DROPPED
from api.logs.usage import LogLimits, LogUsage
from api.services.log_room import RECOUNT_SECONDS, LogRoomService
from gamekeeper import disk
from gamekeeper.disk import DiskFloor, DiskRoom
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogEnd, LogGap, LogStream
from gamekeeper.rpc.convert import key_to_pb, record_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.api.test_log_quotas import KIB, all_of, end, pack, taken
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent
from tests.hang import HANG_SECONDS

LIMITS = LogLimits(run_bytes=10**9, instance_bytes=10**9, node_bytes=256 * KIB)
NO_FLOOR = DiskFloor([], 0)
STEP = {"name": "work", "container": {"image": "debian:12", "command": ["true"]}}


def usage_of(api: ApiUnderTest) -> LogUsage:
    return api.process.services.log_usage


async def upload(raw: RawAgent, key: ContainerKey, first: int, count: int) -> pb.UploadLogsResponse:
    """Sends packs of ten lines of a thousand bytes."""
    batches = [
        pb.LogBatch(key=key_to_pb(key), records=[record_to_pb(pack(seq, 10))])
        for seq in range(first, first + count, 10)
    ]

    async def messages() -> Any:
        for batch in batches:
            yield batch.SerializeToString()

    answer: pb.UploadLogsResponse = await raw.dial.upload_logs(messages(), metadata=raw.metadata, timeout=HANG_SECONDS)
    return answer


async def conditions(api: ApiUnderTest, session: Any, *, has: bool) -> list[dict[str, Any]]:
    """Beats until the node has the condition, or has it no more."""
    async with asyncio.timeout(HANG_SECONDS):
        for seq in range(1, 10**6):
            await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=seq)))
            assert (await session.read()).heartbeat_ack.seq == seq
            node = (await api.http.get("/nodes/node-1")).json()
            found = [item for item in node["conditions"] if item["type"] == "LogQuota"]
            if bool(found) == has:
                return found
    raise AssertionError


async def events_of(api: ApiUnderTest, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.http.get("/events", params={"kind": kind})).json()["items"]
    return found


async def tell_running(api: ApiUnderTest, session: Any, key: StepKey) -> None:
    """Tells of a step, and returns when that is known."""
    await session.write(pb.AgentMessage(step_phase=pb.StepPhase(key=key_to_pb(key), phase="running")))
    async with asyncio.timeout(HANG_SECONDS):
        while not await events_of(api, "step.running"):
            await asyncio.sleep(0.02)


async def test_a_node_over_its_quota_is_held_back_told_and_goes_on_when_there_is_room(
    api: ApiUnderTest, raw: RawAgent
) -> None:
    session = await raw.hello()
    usage_of(api).limits = LIMITS
    key = StepKey(run_id=(await api.submit(STEP))["id"], step="work", try_=1)
    assert (await upload(raw, key, 1, 200)).acks[0].seq == 200
    with pytest.raises(grpc.aio.AioRpcError, match="node node-1 is held back: its logs take") as caught:
        await upload(raw, key, 201, 100)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("retry-after-ms", "10000") in tuple(caught.value.trailing_metadata() or ())
    (condition,) = await conditions(api, session, has=True)
    assert "GAMEKEEPER_LOG_NODE_BYTES" in condition["reason"]
    raised = await events_of(api, "node.condition_raised")
    assert [event["reason"] for event in raised] == ["LogQuota"]
    await tell_running(api, session, key)
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_link_refusals_total{call="UploadLogs",reason="node_quota"} 1.0' in metrics
    assert f'gamekeeper_log_bytes{{node="node-1"}} {taken(api.folder / "logs"):.1f}' in metrics
    usage_of(api).limits = LogLimits()
    assert (await upload(raw, key, 201, 100)).acks[0].seq == 300
    assert await conditions(api, session, has=False) == []


async def test_a_run_over_its_quota_is_told_once_and_one_that_is_made_up_is_refused(
    api: ApiUnderTest, raw: RawAgent, tmp_path: Path
) -> None:
    _session = await raw.hello()
    usage_of(api).limits = LogLimits(run_bytes=64 * KIB)
    key = StepKey(run_id=(await api.submit(STEP))["id"], step="work", try_=1)
    for number in range(1, 4):
        again = key.model_copy(update={"try_": number})
        assert (await upload(raw, again, 1, 200)).acks[0].seq == 200
    room = next(loop for loop in api.process.loops if loop.care.name == "disk_room")
    for _ in range(2):
        await room.work()
    (told,) = await events_of(api, "run.logs_cut")
    assert (told["run"], told["step"], told["node"]) == (key.run_id, "work", "node-1")
    text = (await api.http.get(f"/runs/{key.run_id}/steps/work/logs", params={"try": 1})).text
    assert "[gamekeeper: lines are missing here: the logs of the run are over their quota" in text
    answer = await upload(raw, InstanceKey(instance="arena", revision=7), 1, 10)
    assert answer.acks[0].refused == 'there is no revision 7 of an instance "arena"'


async def test_a_restart_counts_again_what_each_node_has(api: ApiUnderTest, raw: RawAgent) -> None:
    _session = await raw.hello()
    await api.add_node("node-2")
    runs = [(await api.submit(STEP, node=f"node-{1 + number % 2}"))["id"] for number in range(4)]
    root = api.folder / "logs"
    before = LogFiles(root, LIMITS)
    for number, run in enumerate(runs):
        records = [pack(1, 10 * number + 5)]
        await before.append(StepKey(run_id=run, step="work", try_=1), records, 5_000_000, f"node-{1 + number % 2}")
    await before.append(StepKey(run_id="nobody", step="work", try_=1), [pack(1, 5)], node="")
    (root / "instances" / "gone").mkdir(parents=True)
    (root / "a file of somebody").write_text("x")
    after = LogFiles(root, LIMITS)
    came = StepKey(run_id=runs[0], step="work", try_=2)
    await after.append(came, [pack(1, 3)], node="node-1")  # before the count is over
    room = LogRoomService(api.database, after, NO_FLOOR, timedelta(days=1))
    await room.keep_account()
    added = taken(root / runs[0]) - before.usage.nodes["node-1"] + taken(root / runs[2])
    assert after.usage.nodes == before.usage.nodes + Counter({"node-1": added})
    assert after.usage.nodes["node-2"] == taken(root / runs[1]) + taken(root / runs[3])
    await room.keep_account()
    assert after.usage.nodes[""] == taken(root / "nobody")


async def test_old_logs_make_room_for_a_node_that_is_held_back_and_say_so(api: ApiUnderTest, raw: RawAgent) -> None:
    _session = await raw.hello()
    await api.add_node("node-2")
    old, other, new = [(await api.submit(STEP, node=node))["id"] for node in ("node-1", "node-2", "node-1")]
    files = LogFiles(api.folder / "logs", LIMITS)
    room = LogRoomService(api.database, files, NO_FLOOR, timedelta(days=30))
    keys = {run: StepKey(run_id=run, step="work", try_=1) for run in (old, other, new)}
    await files.append(keys[old], [pack(1, 100), end(101)], node="node-1")
    await files.append(keys[other], [pack(1, 100), end(101)], node="node-2")
    await files.append(keys[new], [pack(1, 100)], node="node-1")
    for run, days in ((old, 31), (other, 31), (new, 29)):
        moment = time.time() - days * 86_400
        os.utime(next((api.folder / "logs" / run).iterdir()), (moment, moment))
    await room.keep_account()
    assert LogEnd(True) == (await files.state(keys[old])).end, "nobody is held back"
    files.usage.held["node-1"] = "full"
    await room.keep_account()
    assert LogEnd(True) == (await files.state(keys[old])).end, "it is held back by what is not counted any more"
    files.usage.limits = LogLimits(node_bytes=180 * KIB)
    files.usage.held["node-1"] = "full"
    await room.keep_account()
    gap, last = await all_of(LogFiles(api.folder / "logs"), keys[old])
    assert LogGap.decode(gap.data) == LogGap(1, 100, DROPPED)
    assert (last.stream, LogEnd.decode(last.data)) == (LogStream.END, LogEnd(False, DROPPED))
    assert files.held_back("node-1") == ""
    for run in (other, new):
        assert (await all_of(files, keys[run]))[0].seq == 1
    answer = await api.http.get(f"/runs/{old}/steps/work/logs")
    assert answer.headers["Gamekeeper-Log-Complete"] == "false"
    assert "the oldest lines made room" in answer.text


async def test_many_small_old_logs_make_room_as_well(api: ApiUnderTest, raw: RawAgent) -> None:
    """A node must not be held back for ever by what it wrote years ago, however small each of it is."""
    _session = await raw.hello()
    files = LogFiles(api.folder / "logs", LIMITS)
    keys = [StepKey(run_id=(await api.submit(STEP))["id"], step="work", try_=number) for number in range(1, 9)]
    for key in keys:
        await files.append(key, [pack(1, 1), end(2)], clock_offset_ns=5_000_000, node="node-1")
        for file in (api.folder / "logs" / key.run_id).iterdir():
            moment = time.time() - (31 if key.try_ < 8 else 1) * 86_400
            os.utime(file, (moment, moment))
    files.usage.limits = LogLimits(node_bytes=files.usage.nodes["node-1"] // 7)
    files.usage.held["node-1"] = "full"
    await LogRoomService(api.database, files, NO_FLOOR, timedelta(days=30)).keep_account()
    assert files.usage.nodes["node-1"] == taken(api.folder / "logs" / keys[-1].run_id)
    for key in keys[:-1]:
        assert not (api.folder / "logs" / key.run_id).exists()
        assert [record.stream for record in await all_of(files, key)] == [LogStream.GAP, LogStream.END]


async def test_what_is_counted_follows_the_files(api: ApiUnderTest, raw: RawAgent) -> None:
    """Steps and instances move to other nodes, and operators remove what they don't want."""
    _session = await raw.hello()
    await api.add_node("node-2")
    now, files = 0.0, LogFiles(api.folder / "logs", LIMITS)
    room = LogRoomService(api.database, files, NO_FLOOR, timedelta(days=30), lambda: now)
    runs = [(await api.submit(STEP, node=f"node-{number}"))["id"] for number in (1, 1, 2)]
    await room.keep_account()
    for run in runs:
        await files.append(StepKey(run_id=run, step="work", try_=1), [pack(1, 50)], node="node-1")  # where it was
    now += RECOUNT_SECONDS + 1
    await room.keep_account()
    assert files.usage.nodes == Counter(
        {"node-1": 2 * taken(files.root / runs[0]), "node-2": taken(files.root / runs[2])}
    )
    shutil.rmtree(files.root / runs[0])
    await room.keep_account()
    assert files.usage.nodes["node-1"] == 2 * taken(files.root / runs[1]), "not all is looked at each time"
    now += RECOUNT_SECONDS + 1
    await room.keep_account()
    assert files.usage.nodes["node-1"] == taken(files.root / runs[1])
    files.usage.held["node-1"] = "full"
    await room.keep_account()
    assert files.held_back("node-1") == "", "it has room again, and sends nothing that would show it"


async def test_a_run_that_was_cut_is_told_although_the_database_was_away(
    api: ApiUnderTest, raw: RawAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    _session = await raw.hello()
    files = LogFiles(api.folder / "logs", LogLimits(run_bytes=64 * KIB))
    room = LogRoomService(api.database, files, NO_FLOOR, timedelta(days=30))
    files.cuts.append((StepKey(run_id="r" * 16, step="work", try_=1), "node-1"))

    def away(*_: Any) -> Any:
        raise asyncio.CancelledError

    with monkeypatch.context() as failing:
        failing.setattr(api.database, "write", away)
        with pytest.raises(asyncio.CancelledError):
            await room.look()
    await room.look()
    assert len(await events_of(api, "run.logs_cut")) == 1


async def test_a_disk_at_its_floor_is_told_once(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter((99, 101, 99, 108, 100, 120))
    monkeypatch.setattr(
        disk, "disk_room", lambda path: DiskRoom(path, next(free) * 2**20, total_bytes=2**40, is_full=False)
    )
    floor = DiskFloor([api.folder], 100 * 2**20)
    room = LogRoomService(api.database, LogFiles(api.folder / "logs"), floor, timedelta(days=30))
    for _ in range(5):
        await room.look()
    assert [event["kind"] for event in await events_of(api, "server")] == ["server.disk_low"]
    await room.look()
    assert [event["kind"] for event in await events_of(api, "server")] == ["server.disk_free", "server.disk_low"]


async def test_a_disk_that_got_room_while_the_api_was_away_is_told(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_a_start() -> LogRoomService:
        return LogRoomService(api.database, LogFiles(api.folder / "logs"), NO_FLOOR, timedelta(days=30))

    monkeypatch.setattr(DiskFloor, "trouble", lambda *_, **__: "the disk of /x is nearly full")
    for _ in range(2):
        await after_a_start().look()
    assert [event["kind"] for event in await events_of(api, "server")] == ["server.disk_low"]
    monkeypatch.undo()
    for _ in range(2):
        await after_a_start().look()
    assert [event["kind"] for event in await events_of(api, "server")] == ["server.disk_free", "server.disk_low"]


async def test_a_server_whose_disk_is_nearly_full_takes_no_new_work_and_goes_on_with_the_rest(
    api: ApiUnderTest, raw: RawAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await raw.hello()
    run = await api.submit(STEP)
    key = StepKey(run_id=run["id"], step="work", try_=1)
    room = next(loop for loop in api.process.loops if loop.care.name == "disk_room")
    await room.work()
    monkeypatch.setattr(DiskFloor, "trouble", lambda *_, **__: "the disk of /x is nearly full")
    for _ in range(2):
        await room.work()
    body = {"spec": {"name": "test", "steps": [STEP]}, "node": "node-1"}
    instance = {"id": "arena", "node": "node-1", "container": {"image": "debian:12"}}
    trigger = "/instances/arena/schedules/nightly/trigger"
    for path, given in (("/runs", body), (f"/runs/{run['id']}/rerun", {}), ("/instances", instance), (trigger, None)):
        refused = await api.http.post(path, json=given)
        assert (refused.status_code, refused.json()["code"]) == (503, "disk_full"), path
        assert refused.json()["detail"] == "no new work and no logs are taken: the disk of /x is nearly full"
        assert refused.json()["hint"] == "free space there; it goes on by itself"
    assert (await api.http.post("/runs", json=body, params={"dry_run": True})).status_code == 200
    with pytest.raises(grpc.aio.AioRpcError, match="logs are not taken now") as caught:
        await upload(raw, key, 1, 10)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1)))
    assert (await session.read()).heartbeat_ack.seq == 1
    await tell_running(api, session, key)
    assert (await api.http.post(f"/runs/{run['id']}/cancel")).status_code == 202
    ready = (await api.anonymous.get("/readyz")).json()
    assert ready["parts"]["disk"].startswith("no new work and no logs are taken: the disk of /x is nearly full")
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_part_up{part="disk"} 0.0' in metrics
    assert 'gamekeeper_link_refusals_total{call="UploadLogs",reason="disk_full"} 1.0' in metrics
    assert "gamekeeper_disk_free_bytes{" in metrics
    assert [event["message"] for event in await events_of(api, "server")] == ["the disk of /x is nearly full"]
    monkeypatch.undo()
    await room.work()
    assert [event["kind"] for event in await events_of(api, "server")] == ["server.disk_free", "server.disk_low"]
    assert (await api.http.post("/runs", json=body)).status_code == 201
    assert (await upload(raw, key, 1, 10)).acks[0].seq == 10


async def test_an_agent_that_is_held_back_keeps_its_lines_and_its_outcomes_are_known(api: ApiUnderTest) -> None:
    """Its log is whole once there is room."""
    await api.add_node()
    await api.start_control_worker()
    await api.start_agent()
    usage_of(api).limits = LogLimits(node_bytes=4 * KIB)
    output = "".join(f"{number} {'x' * 1000}\n" for number in range(10))
    container = {"image": "debian:12", "command": ["true"], "environment": {"DUMMY_OUTPUT": output}}
    run = await api.submit({"name": "work", "container": container})
    assert (await api.until_run(run["id"], "succeeded", "failed"))["state"] == "succeeded"
    async with asyncio.timeout(HANG_SECONDS):
        while not usage_of(api).held:
            await asyncio.sleep(0.02)
    usage_of(api).limits = LogLimits()
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            answer = await api.http.get(f"/runs/{run['id']}/steps/work/logs")
            if answer.headers["Gamekeeper-Log-Complete"] == "true":
                break
            await asyncio.sleep(0.1)
    assert answer.text == output
