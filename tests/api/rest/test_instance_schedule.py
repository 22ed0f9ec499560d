"""Schedules of instances over REST, on the real Temporal server; the keeper is in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import ScheduleBackfill, ScheduleHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from gamekeeper.db.models import InstanceScheduleRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.domain.instance.missed import stamp, with_firing
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.errors import UnavailableError
from gamekeeper.temporal import queues
from gamekeeper.temporal.ids import instance_schedule_id
from tests.api.rest.test_instance import Answer, act, create, events, idle, online, until
from tests.fakes.instance_keeper import FakeKeeper
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

NEVER = "30 2 28 3 *"  # once a year, in the hour that Berlin's clocks leave out in 2027
RESTART = {"name": "nightly", "cron": NEVER, "timezone": "Europe/Berlin", "action": "restart"}
WARN = {"name": "warn", "cron": NEVER, "command": "say restart in 5 minutes"}


@pytest.fixture
async def keeper(api: ApiUnderTest) -> FakeKeeper:
    """A node that is online and has a keeper, and a control worker."""
    made = FakeKeeper()
    await api.add_node()
    await online(api, "node-1")
    await api.start_control_worker()
    queue = queues.node_control_queue("node-1")
    worker = Worker(api.client_of_node("node-1"), task_queue=queue, activities=[made.carry_out, made.type_in])
    await api.stack.enter_async_context(worker)
    return made


@pytest.fixture
async def arena(api: ApiUnderTest, keeper: FakeKeeper) -> FakeKeeper:
    await create(api, schedules=[RESTART, WARN])
    await idle(api)
    return keeper


def path(name: str = "", then: str = "") -> str:
    return "/".join(filter(None, ("/instances/arena/schedules", name, then)))


async def schedule(api: ApiUnderTest, name: str) -> Answer:
    answer = await api.http.get(path(name))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def trigger(api: ApiUnderTest, name: str, **headers: str) -> Answer:
    answer = await api.http.post(path(name, "trigger"), headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def until_outcome(api: ApiUnderTest, name: str, is_so: Callable[[Answer], bool]) -> Answer:
    async with asyncio.timeout(HANG_SECONDS):
        while not is_so(found := await schedule(api, name)):
            await asyncio.sleep(0.03)
        return found


def handle(api: ApiUnderTest, name: str) -> ScheduleHandle:
    return api.process.services.instances.schedules._calls._client.get_schedule_handle(
        instance_schedule_id("arena", name)
    )


async def told(api: ApiUnderTest, kind: str) -> list[tuple[str, str]]:
    """Message and actor of the events of a kind."""
    return [(message, actor) for found, message, actor in await events(api) if found == f"schedule_{kind}"]


async def row_of(api: ApiUnderTest, name: str) -> InstanceScheduleRow | None:
    async with api.database.read() as session:
        return await InstanceScheduleRepository(session).find_whatever("arena", name)


async def reconcile(api: ApiUnderTest) -> None:
    """A round that looks at all, and for strays."""
    reconciler = api.process.services.instances.schedule_reconciler
    reconciler._strays_at = -1e9
    await reconciler.reconcile()


async def age(api: ApiUnderTest, name: str, **fields: Any) -> None:
    """Changes the row as if that had been a while ago."""
    async with api.database.write() as session:
        row = await InstanceScheduleRepository(session).find_whatever("arena", name)
        assert row is not None
        row.updated_at -= timedelta(minutes=1)
        for field, value in fields.items():
            setattr(row, field, value)


async def test_they_come_with_the_instance_and_tell_when(api: ApiUnderTest, arena: FakeKeeper) -> None:
    items = (await api.http.get(path())).json()["items"]
    assert [(item["name"], item["action"], item["command"]) for item in items] == [
        ("nightly", "restart", ""),
        ("warn", "command", "say restart in 5 minutes"),
    ]
    nightly = items[0]
    assert (nightly["cron"], nightly["timezone"], nightly["catch_up"]) == (NEVER, "Europe/Berlin", "10m")
    assert (nightly["last_at"], nightly["last_outcome"], nightly["missed"]) == (None, None, 0)
    # 02:30 does not exist on that day: it comes at the change; in UTC there is none
    assert "2027-03-28T01:00:01Z" in nightly["next_at"]
    assert "2028-03-28T00:30:00Z" in nightly["next_at"]
    assert "2027-03-28T02:30:00Z" in items[1]["next_at"]
    assert (await until(api, lambda found: True))["revision"] == 1
    assert await told(api, "set") == [
        (f"nightly: {NEVER} Europe/Berlin: restart", "key:admin"),
        (f'warn: {NEVER} UTC: types "say restart in 5 minutes"', "key:admin"),
    ]


async def test_a_time_around_a_change_of_clocks_is_seen_as_it_is(api: ApiUnderTest, arena: FakeKeeper) -> None:
    """The server fires it, late by months, so it is told as missed and nothing is done."""
    await api.http.put(path("nightly"), json={"cron": "30 2 29 3 *", "timezone": "Europe/Berlin", "action": "restart"})
    day = datetime(2026, 3, 29, tzinfo=UTC)
    await handle(api, "nightly").backfill(ScheduleBackfill(start_at=day, end_at=day + timedelta(days=1)))
    found = await until_outcome(api, "nightly", lambda item: item["last_at"] is not None)
    assert (found["last_at"], found["last_outcome"]) == ("2026-03-29T01:00:01Z", "missed")
    assert "2026-03-29 01:00 UTC" in found["last_message"]
    ((message, actor),) = await told(api, "missed")
    assert (message, actor) == (f"nightly: restart: {found['last_message']}", "schedule:nightly")
    assert arena.serials() == [1]


async def test_a_time_restarts_and_tells_the_end(api: ApiUnderTest, arena: FakeKeeper) -> None:
    await handle(api, "nightly").trigger()
    found = await until_outcome(api, "nightly", lambda item: item["last_outcome"] == "done")
    assert (arena.orders[-1].restart, arena.orders[-1].serial) == (True, 2)
    assert found["last_message"] == ""
    assert await told(api, "fired") == [("nightly: restart", "schedule:nightly")]
    assert ("asked", "restart", "schedule:nightly") in await events(api)


async def test_a_restart_that_does_not_get_ready_has_failed(api: ApiUnderTest, arena: FakeKeeper) -> None:
    arena.settles = lambda _: (InstanceState.CRASH_LOOP, InstanceReason.EXIT_CODE)
    await trigger(api, "nightly")
    found = await until_outcome(api, "nightly", lambda item: item["last_outcome"] == "failed")
    assert found["last_message"].startswith("crash_loop")


async def test_a_line_reaches_the_console(api: ApiUnderTest, arena: FakeKeeper) -> None:
    done = await trigger(api, "warn")
    assert (done["last_outcome"], done["last_message"]) == ("done", "")
    (line,) = arena.lines
    assert (line.instance, line.node, line.schedule, line.text) == ("arena", "node-1", "warn", WARN["command"])
    await trigger(api, "warn")
    assert arena.lines[1].number > line.number
    arena.deaf = "instance arena does not run"
    failed = await trigger(api, "warn")
    assert (failed["last_outcome"], failed["last_message"]) == ("failed", "instance arena does not run")
    assert [message for message, _ in await told(api, "fired")][-1].endswith("does not run")
    assert [actor for _, actor in await told(api, "triggered")] == ["key:admin"] * 3


async def test_the_same_key_is_the_same_firing(api: ApiUnderTest, arena: FakeKeeper) -> None:
    for _ in range(2):
        assert (await trigger(api, "warn", **{"Idempotency-Key": "once"}))["last_outcome"] == "done"
    assert len(arena.lines) == 1


async def test_nothing_is_done_to_what_somebody_stopped(api: ApiUnderTest, arena: FakeKeeper) -> None:
    await act(api, "stop")
    await idle(api)
    for name in ("nightly", "warn"):
        await handle(api, name).trigger()
        found = await until_outcome(api, name, lambda item: item["last_outcome"] is not None)
        assert (found["last_outcome"], found["last_message"]) == ("skipped", "somebody stopped the instance")
    assert (arena.serials(), arena.lines) == ([1, 2], [])


async def test_a_stop_and_a_start_of_their_own(api: ApiUnderTest, arena: FakeKeeper) -> None:
    for action in ("stop", "start"):
        answer = await api.http.put(path(action), json={"cron": "@yearly", "action": action})
        assert answer.status_code == 201, answer.text
    for action in ("stop", "start"):
        await trigger(api, action)
        await until_outcome(api, action, lambda item: item["last_outcome"] == "done")
        again = await trigger(api, action)
        assert again["last_outcome"] == "skipped"
    assert arena.serials() == [1, 2, 3]


async def test_a_busy_instance_is_left_alone(api: ApiUnderTest, arena: FakeKeeper) -> None:
    arena.may_end.clear()
    await act(api, "restart")
    found = await trigger(api, "nightly")
    assert found["last_outcome"] == "busy"
    assert found["last_message"].startswith("restart by key:admin goes on since")
    arena.may_end.set()
    await idle(api)
    assert arena.serials() == [1, 2]


async def test_a_kill_takes_the_place_of_its_action(api: ApiUnderTest, arena: FakeKeeper) -> None:
    arena.may_end.clear()
    assert (await trigger(api, "nightly"))["last_outcome"] == "begun"
    await arena.until_ordered(2)
    await act(api, "kill")
    found = await until_outcome(api, "nightly", lambda item: item["last_outcome"] != "begun")
    assert (found["last_outcome"], found["last_message"]) == ("failed", "kill by key:admin took its place")


async def test_a_node_that_is_away_gets_nothing_later(api: ApiUnderTest, arena: FakeKeeper) -> None:
    await online(api, "node-1", "offline")
    for name in ("nightly", "warn"):
        found = await trigger(api, name)
        assert (found["last_outcome"], found["last_message"]) == ("skipped", "node node-1 is offline")
    assert (arena.serials(), arena.lines) == ([1], [])


async def test_an_agent_that_types_no_lines_is_told_as_such(api: ApiUnderTest) -> None:
    old = FakeKeeper()
    await api.add_node()
    await online(api, "node-1")
    await api.start_control_worker()
    worker = Worker(
        api.client_of_node("node-1"), task_queue=queues.node_control_queue("node-1"), activities=[old.carry_out]
    )
    await api.stack.enter_async_context(worker)
    await create(api, schedules=[WARN])
    await idle(api)
    found = await trigger(api, "warn")
    assert found["last_outcome"] == "failed"
    assert "types no commands; upgrade it" in found["last_message"]


async def test_a_pause_holds_times_but_no_hand(api: ApiUnderTest, arena: FakeKeeper) -> None:
    paused = (await api.http.post(path("warn", "pause"), json={"note": "tournament"})).json()
    assert (paused["paused"], paused["note"], paused["next_at"]) == (True, "tournament", [])
    assert (await handle(api, "warn").describe()).schedule.state.paused
    await api.http.put(path("warn"), json={"cron": "@daily", "command": "say hello"})
    assert (await schedule(api, "warn"))["paused"]
    assert (await trigger(api, "warn"))["last_outcome"] == "done"
    resumed = (await api.http.post(path("warn", "resume"))).json()
    assert (resumed["paused"], resumed["note"]) == (False, "")
    assert resumed["next_at"] != []
    assert await told(api, "paused") == [("warn: tournament", "key:admin")]
    assert await told(api, "resumed") == [("warn", "key:admin")]


async def test_what_is_set_again_as_it_is_changes_nothing(api: ApiUnderTest, arena: FakeKeeper) -> None:
    before = await schedule(api, "warn")
    body = {name: value for name, value in WARN.items() if name != "name"}
    answer = await api.http.put(path("warn"), json=body)
    assert (answer.status_code, answer.json()) == (200, before)
    assert len(await told(api, "set")) == 2


async def test_one_that_is_removed_is_gone_from_temporal(api: ApiUnderTest, arena: FakeKeeper) -> None:
    assert (await api.http.delete(path("warn"))).status_code == 204
    assert (await api.http.delete(path("warn"))).status_code == 404
    assert await row_of(api, "warn") is None
    with pytest.raises(RPCError):
        await handle(api, "warn").describe()
    answer = await api.http.put(path("warn"), json={"cron": "@daily", "command": "say hello"})
    assert answer.status_code == 201
    assert (await trigger(api, "warn"))["last_outcome"] == "done"


async def test_they_go_with_their_instance(api: ApiUnderTest, arena: FakeKeeper) -> None:
    assert (await api.http.delete("/instances/arena")).status_code == 202
    await until(api, lambda found: found.get("code") == "not_found")
    for name in ("nightly", "warn"):
        await age(api, name)
    await reconcile(api)
    for name in ("nightly", "warn"):
        assert await row_of(api, name) is None
        with pytest.raises(RPCError):
            await handle(api, name).describe()
    await create(api)
    assert (await api.http.get(path())).json()["items"] == []


async def test_what_temporal_did_not_take_is_told_again(
    api: ApiUnderTest, arena: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = api.process.services.instances.schedules._calls

    async def away(*_: Any, **__: Any) -> None:
        raise UnavailableError("Temporal does not answer")

    for name in ("put", "remove", "look"):
        monkeypatch.setattr(calls, name, away)
    made = await api.http.put(path("late"), json={"cron": "@daily", "action": "stop"})
    assert (made.status_code, made.json()["next_at"]) == (201, [])
    assert (await api.http.delete(path("warn"))).status_code == 204
    assert (await api.http.get(path())).status_code == 503
    monkeypatch.undo()
    for name in ("late", "warn"):
        await age(api, name)
    await reconcile(api)
    assert (await schedule(api, "late"))["next_at"] != []
    assert await row_of(api, "warn") is None


async def test_differences_are_mended(api: ApiUnderTest, arena: FakeKeeper) -> None:
    """Somebody deleted one in Temporal, paused another, and Temporal has one of which no row knows."""
    await handle(api, "nightly").delete()
    await handle(api, "warn").pause()
    await api.http.put(path("stray"), json={"cron": "@daily", "action": "stop"})
    async with api.database.write() as session:
        schedules = InstanceScheduleRepository(session)
        row = await schedules.find_whatever("arena", "stray")
        assert row is not None
        await schedules.forget(row)
    async with asyncio.timeout(HANG_SECONDS):
        calls = api.process.services.instances.schedules._calls
        while ("arena", "stray") not in await calls.all():  # Temporal's list is behind what was just made
            await asyncio.sleep(0.05)
    await reconcile(api)
    assert (await schedule(api, "nightly"))["next_at"] != []
    assert not (await handle(api, "warn").describe()).schedule.state.paused
    with pytest.raises(RPCError):
        await handle(api, "stray").describe()


async def test_times_that_temporal_left_out_are_told_once(api: ApiUnderTest, arena: FakeKeeper) -> None:
    """Under the rule of all schedules of instances, a time that comes while the one before goes on is left out."""
    async with api.database.write() as session:
        (await InstanceRepository(session).get("arena")).message = ""
    day = datetime(2026, 3, 1, tzinfo=UTC)
    await api.http.put(path("warn"), json={"cron": "0 * * * *", "command": "say hello"})
    await handle(api, "warn").backfill(ScheduleBackfill(start_at=day, end_at=day + timedelta(hours=5)))
    async with asyncio.timeout(HANG_SECONDS):
        while not (await handle(api, "warn").describe()).info.num_actions_skipped_overlap:
            await asyncio.sleep(0.05)
    await until_outcome(api, "warn", lambda item: item["last_outcome"] == "missed")
    async with api.database.write() as session:
        row = await InstanceScheduleRepository(session).find("arena", "warn")
        assert row is not None
        row.updated_at = row.told_until = utc_now() - timedelta(hours=7.5)
        # one of them came, late, after the others had passed: so the newest firing is behind all that were missed
        late = (utc_now() - timedelta(hours=2)).replace(minute=0, second=0)
        row.came, row.last_at = with_firing(row.came, late), late
    for _ in range(2):
        await reconcile(api)
    assert (await schedule(api, "warn"))["missed"] > 0
    why = "passed while Temporal was away for longer than catch_up, or while the one before went on"
    (words,) = [message for message, _ in await told(api, "missed") if message.endswith(why)]
    assert re.fullmatch(r"warn: (\d{4}-\d\d-\d\dT\d\d:00:00Z, ){4}\S+:00:00Z and [12] before " + why, words), words
    assert stamp(late) not in words
    found = (await api.http.get("/events", params={"kind": "instance.schedule_missed"})).json()["items"]
    (data,) = [item["data"] for item in found if item["message"] == words]
    assert (data["missed"], len(data["missed_at"])) in ((6, 6), (7, 7))
    assert stamp(late) not in data["missed_at"]


@pytest.mark.parametrize(
    ("body", "where", "code"),
    [
        ({"cron": "0 25 * * *", "action": "stop"}, "cron", "cron"),
        ({"cron": "@daily", "action": "reboot"}, "action", "action"),
        ({"cron": "@daily"}, "", "action"),
        ({"cron": "@daily", "action": "stop", "command": "x"}, "", "action"),
        ({"cron": "@daily", "command": "a\nb"}, "command", "command"),
        ({"cron": "@daily", "command": "x" * 1001}, "command", "command"),
        ({"cron": "@daily", "action": "restart", "when": "empty"}, "when", "not_supported"),
        ({"cron": "@daily", "action": "stop", "timezone": "Mars/Olympus"}, "timezone", "timezone"),
        ({"cron": "@daily", "action": "stop", "catch_up": "soon"}, "catch_up", "duration"),
        ({"action": "stop"}, "cron", "missing"),
        ({"cron": "@daily", "action": "stop", "players": 0}, "players", "unknown_key"),
    ],
)
async def test_wrong_ones_are_told_with_their_place(api: ApiUnderTest, body: Answer, where: str, code: str) -> None:
    answer = await api.http.put(path("nightly"), json=body)
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["problems"]
    assert (problem["path"], problem["code"]) == (where, code)


async def test_an_instance_has_no_more_than_twenty(api: ApiUnderTest, arena: FakeKeeper) -> None:
    for number in range(18):
        assert (await api.http.put(path(f"s-{number}"), json={"cron": "@daily", "action": "stop"})).status_code == 201
    answer = await api.http.put(path("one-more"), json={"cron": "@daily", "action": "stop"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await api.http.put(path("s-0"), json={"cron": "@weekly", "action": "stop"})).status_code == 200


async def test_unknown_ones(api: ApiUnderTest, arena: FakeKeeper) -> None:
    for answer in (
        await api.http.get(path("other")),
        await api.http.post(path("other", "trigger")),
        await api.http.post(path("other", "pause")),
        await api.http.get("/instances/other/schedules"),
        await api.http.put("/instances/other/schedules/x", json={"cron": "@daily", "action": "stop"}),
    ):
        assert answer.status_code == 404, answer.text


async def test_schedules_of_pipelines_do_not_show_them(api: ApiUnderTest, arena: FakeKeeper) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        calls = api.process.services.instances.schedules._calls
        while ("arena", "warn") not in await calls.all():
            await asyncio.sleep(0.05)
    assert not [item for item in (await api.http.get("/schedules")).json()["items"] if "arena" in item["id"]]
