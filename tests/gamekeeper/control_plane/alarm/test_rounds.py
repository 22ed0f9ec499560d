"""Rounds of judging: alarms come up and go by what the read model says, once, whoever judges."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import select

from gamekeeper.control_plane.alarm.config import DEFAULTS
from gamekeeper.control_plane.alarm.rounds import LEASE, RENEWED, WHOLE, AlarmRounds
from gamekeeper.db.models import AlarmRow, AlarmRuleRow, InstanceRow, MetricRow, NodeRow, RunRow
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.domain.alarm.default_rules import DEFAULT_RULES
from gamekeeper.domain.alarm.rule import AlarmRule
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.metric import CONTAINER_METRICS, NODE_METRICS, ordered, pack
from gamekeeper.errors import ConflictError
from tests.gamekeeper.control_plane.alarm.scenes import Scene
from tests.hang import HANG_SECONDS


async def test_a_dead_node_is_one_message_with_its_instances_as_children(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    for name in ("a", "b"):
        await scene.add_instance(name, "n1")
    await scene.add_instance("c", "n1", desired="stopped", state="stopped")
    await scene.add_instance("d", "n1", state="crash_loop")
    await scene.look()
    await scene.set(NodeRow, "n1", status="offline", last_seen_at=scene.now)
    await scene.look()
    assert await scene.states() == [
        ("instance-crash-loop", "d", "no_data"),
        ("node-offline", "a", "no_data"),
        ("node-offline", "b", "no_data"),
        ("node-offline", "d", "no_data"),
        ("node-offline", "n1", "open"),
    ]
    (parent,) = [row for row in await scene.alarms() if row.kind == "node"]
    assert {row.parent for row in await scene.alarms() if row.kind != "node"} == {parent.id}
    assert await scene.told() == [("raised", ["d"]), ("raised", ["n1"])]
    notice = (await scene.notices())[1].content["alarms"][0]
    assert (notice["children"], notice["names"]) == (3, ["a", "b", "d"])
    assert "last heard of 2026-11-02 03:00" in notice["summary"]
    await scene.set(NodeRow, "n1", status="online")
    await scene.look()
    await scene.later(5)
    assert await scene.states() == [("instance-crash-loop", "d", "open")]
    assert (await scene.alarms())[0].parent is None
    assert (await scene.told())[2:] == [("cleared", ["n1"])]
    assert await scene.events() == [
        ("alarm.raised", ""),
        ("alarm.raised", ""),
        ("alarm.cleared", "cleared"),
    ]


async def test_a_node_that_was_disabled_first_is_missed_by_nobody(scene: Scene) -> None:
    await scene.add_node("n1", status="offline", mode="disabled")
    await scene.look()
    assert await scene.states() == []


async def test_a_condition_that_comes_and_goes_in_a_moment_tells_nobody(scene: Scene) -> None:
    await scene.add_channel()
    condition = {"type": "ClockSkew", "reason": "3.0 s ahead", "since": "2026-11-02T03:00:00Z"}
    await scene.add_node("n1", conditions=[condition])
    await scene.look()
    assert await scene.states() == [("node-condition", "n1", "pending")]
    await scene.set(NodeRow, "n1", conditions=[])
    await scene.later(20)
    assert await scene.alarms(live=False) == []
    await scene.set(NodeRow, "n1", conditions=[condition])
    await scene.look()
    await scene.later(30)
    assert await scene.told() == [("raised", ["n1"])]
    await scene.set(NodeRow, "n1", conditions=[])
    await scene.look()
    assert [state for _, _, state in await scene.states()] == ["clearing"]
    await scene.set(NodeRow, "n1", conditions=[condition])
    await scene.later(60)
    assert await scene.told() == [("raised", ["n1"])]
    assert (await scene.alarms())[0].summary == "ClockSkew: 3.0 s ahead"


async def test_a_failed_run_is_an_alarm_of_its_pipeline_until_one_succeeds(scene: Scene) -> None:
    await scene.add_channel()
    await scene.look()
    for run in ("r1", "r2"):
        await scene.add_run(run)
        await scene.happens(EventKind.RUN_FAILED, run=run, reason="step_failed", message=f"step of {run} failed")
        await scene.look()
    await scene.add_run("r3", parent_run="r2")
    await scene.happens(EventKind.RUN_FAILED, run="r3")
    await scene.look()
    (alarm,) = await scene.alarms()
    assert (alarm.rule, alarm.object_id, alarm.run, alarm.count) == ("run-failed", "nightly", "r2", 2)
    assert alarm.summary == "step of r2 failed"
    assert await scene.told() == [("raised", ["nightly"])]
    await scene.add_run("r4")
    await scene.happens(EventKind.RUN_SUCCEEDED, run="r4")
    await scene.look()
    assert await scene.told() == [("raised", ["nightly"]), ("cleared", ["nightly"])]


async def test_an_alarm_of_events_closes_after_its_time_without_a_word(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    await scene.add_instance("a", "n1")
    await scene.look()
    await scene.happens(EventKind.INSTANCE_RESTARTING, node="n1", instance="a", reason="exit_code")
    await scene.happens(EventKind.INSTANCE_RESTARTING, node="n1", instance="a", reason="oom", message="killed")
    await scene.look()
    assert await scene.states() == [("instance-out-of-memory", "a", "open")]
    last_at = (await scene.alarms())[0].last_at
    assert last_at is not None
    scene.now = last_at + timedelta(hours=7)
    await scene.look()
    (closed,) = await scene.alarms(live=False)
    assert (closed.state, closed.closed_reason) == ("closed", "expired")
    assert [kind for kind, _ in await scene.told()] == ["raised"]


async def test_what_happened_before_the_first_round_is_no_alarm(scene: Scene) -> None:
    await scene.add_run("r1")
    await scene.happens(EventKind.RUN_FAILED, run="r1")
    await scene.look()
    assert await scene.alarms() == []


async def test_what_is_gone_ends_its_alarm(scene: Scene) -> None:
    await scene.add_node("n1")
    await scene.add_instance("a", "n1", state="failed", message="line one\nno such image")
    await scene.look()
    assert (await scene.alarms())[0].summary == "it is failed: no such image"
    await scene.set(InstanceRow, "a", deleted_at=scene.now)
    await scene.look()
    assert await scene.alarms() == []
    assert await scene.events() == [("alarm.raised", ""), ("alarm.cleared", "gone")]


async def test_a_rule_of_a_user_takes_a_default_ones_place(scene: Scene) -> None:
    await scene.add_node("n1", status="offline", labels={"pool": "eu"})
    await scene.add_node("n2", status="offline")
    rule = {"when": "node.status == offline", "on": {"kind": "node", "labels": {"pool": "eu"}}}
    await scene.add(AlarmRuleRow(id="node-offline", spec=rule))
    await scene.look()
    assert await scene.states() == [("node-offline", "n1", "open")]
    await scene.add_node("n3", status="offline", labels={"pool": "eu"})
    await scene.look()
    assert [name for _, name, _ in await scene.states()] == ["n1", "n3"]
    await scene.set(AlarmRuleRow, "node-offline", spec=rule | {"enabled": False})
    await scene.look()
    assert await scene.states() == []


async def test_a_row_that_cant_be_read_hides_no_other_rule(scene: Scene) -> None:
    await scene.add_node("n1", status="offline")
    await scene.add(AlarmRuleRow(id="of-a-newer-version", spec={"whenever": "x"}))
    await scene.look()
    assert await scene.states() == [("node-offline", "n1", "open")]
    assert scene.database.odd_rows.failures >= 1


async def test_a_nul_in_a_rules_words_stops_no_round(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "odd", replace(DEFAULTS["node-offline"], id="odd", name="a\0b", note="c\0d"))
    monkeypatch.setitem(DEFAULT_RULES, "odd", DEFAULT_RULES["node-offline"])
    await scene.add_node("n1", status="offline")
    await scene.look()
    found = {alarm.rule: (alarm.name, alarm.note) for alarm in await scene.alarms()}
    assert found["odd"] == ("a\ufffdb", "c\ufffdd")
    with pytest.raises(ValueError, match="pattern"):
        AlarmRule(name="a\0b", when="node.status == offline")


async def test_metrics_raise_and_their_absence_is_a_state(scene: Scene) -> None:
    await scene.add_node("n1")
    await scene.add_instance("a", "n1")
    values = ordered(CONTAINER_METRICS, {"memory_working_set_bytes": 97.0, "memory_limit_bytes": 100.0})

    async def sample() -> None:
        at = int(scene.now.timestamp())
        await scene.add(MetricRow(subject="instance:a", resolution=60, at=at, data=pack(values)))

    await sample()
    await scene.look()
    for _ in range(3):
        await scene.later(100)
        await sample()
        await scene.look()
    assert await scene.states() == [("instance-near-memory-limit", "a", "open")]
    assert (await scene.alarms())[0].summary == "instance.memory_of_limit_percent is 97.0 %"
    await scene.later(300)
    assert [state for _, _, state in await scene.states()] == ["no_data"]


async def test_a_disk_that_fills_is_told_before_it_is_full(scene: Scene) -> None:
    await scene.add_node("n1")
    begin = int(scene.now.timestamp()) - 3600
    rows = [
        MetricRow(
            subject="node:n1",
            resolution=60,
            at=begin + 60 * minute,
            data=pack(ordered(NODE_METRICS, {"disk_used_percent": 50 + minute / 10})),
        )
        for minute in range(60)
    ]
    await scene.add(*rows)
    await scene.look()
    assert await scene.states() == [("node-disk-filling", "n1", "pending")]
    assert "node.disk_full_in is 7h" in (await scene.alarms())[0].summary


async def test_a_run_that_waits_too_long(scene: Scene) -> None:
    await scene.add_run("r1", state="queued")
    await scene.later(1801)
    assert await scene.states() == [("run-waiting", "r1", "open")]
    await scene.set(RunRow, "r1", state="running", started_at=scene.now)
    await scene.look()
    assert await scene.states() == []


async def test_an_odd_alarm_stands_as_it_is_and_stops_no_round(scene: Scene) -> None:
    await scene.add_channel()
    for node in ("n1", "n2"):
        await scene.add_node(node, status="offline")
    await scene.look()
    (first, second) = await scene.alarms()
    await scene.set(AlarmRow, first.id, severity="dreadful")
    await scene.set(AlarmRow, second.id, state="dreaming")
    await scene.add_node("n3", status="offline")
    await scene.look()
    assert [(alarm.object_id, alarm.severity, alarm.state) for alarm in await scene.alarms()] == [
        ("n1", "dreadful", "open"),
        ("n2", "critical", "dreaming"),
        ("n3", "critical", "open"),
    ]
    assert (await scene.told())[2:] == [("raised", ["n3"])]
    assert scene.database.odd_rows.failures >= 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL checks JSON itself
async def test_torn_rows_are_unknown_and_stop_no_round(scene: Scene) -> None:
    await scene.add_channel()
    for node in ("n1", "n2"):
        await scene.add_node(node, status="offline")
    await scene.look()
    first, _ = await scene.alarms()
    statements = (
        "UPDATE nodes SET conditions = '{torn' WHERE id = 'n1'",
        f"UPDATE alarms SET labels = '{{torn' WHERE id = '{first.id}'",
        "UPDATE notifications SET content = '{torn'",
    )
    for statement in statements:
        async with scene.database.write() as session:
            await (await session.connection()).execute(text(statement))
    await scene.set(NodeRow, "n2", status="online")
    await scene.add_node("n3", status="offline")
    await scene.look()
    await scene.later(10)
    async with scene.database.read() as session:
        found = (await session.exec(select(AlarmRow.object_id, AlarmRow.state).order_by(AlarmRow.object_id))).all()
    assert [tuple(row) for row in found] == [("n1", "open"), ("n2", "closed"), ("n3", "open")]


async def test_events_that_nothing_came_of_are_not_looked_at_again(scene: Scene) -> None:
    """Neither after a restart, when a rule is about them by then."""
    rule = {"events": ["run.failed"], "enabled": False}
    await scene.add(AlarmRuleRow(id="run-failed", spec=rule))
    await scene.look()
    await scene.add_run("r1")
    await scene.happens(EventKind.RUN_FAILED, run="r1")
    await scene.look()
    await scene.later(RENEWED.total_seconds())
    await scene.set(AlarmRuleRow, "run-failed", spec=rule | {"enabled": True})
    scene.now += LEASE
    await AlarmRounds(scene.database, lambda: scene.now, monotonic=lambda: 0.0).look()
    assert await scene.alarms(live=False) == []


async def test_an_alarm_that_somebody_closes_during_a_round_stays_closed(scene: Scene) -> None:
    await scene.add_node("n1", status="offline")
    await scene.look()
    (alarm,) = await scene.alarms()

    async def close() -> None:
        async with scene.database.write() as session:
            row = await AlarmRepository(session).get_locked(alarm.id)
            row.state, row.live_key = "closed", None

    async with scene.database.write() as session:
        (row,), _ = await AlarmRepository(session).live(is_locked=True)
        closing = asyncio.create_task(close())
        await asyncio.wait({closing}, timeout=0.5)  # it waits for the round, or nothing would be left to see
        row.state = "no_data"
    async with asyncio.timeout(HANG_SECONDS):
        await closing
    (found,) = await scene.alarms(live=False)
    assert (found.state, found.live_key) == ("closed", None)


async def test_only_one_of_two_processes_judges_and_the_other_takes_over(scene: Scene) -> None:
    other = AlarmRounds(scene.database, lambda: scene.now, monotonic=lambda: 0.0)
    await scene.look()
    await scene.add_node("n1", status="offline")
    await other.look()
    assert not other.is_holder
    assert await scene.alarms() == []
    scene.now += LEASE + timedelta(seconds=1)
    await other.look()
    assert other.is_holder
    assert len(await scene.alarms()) == 1
    await scene.rounds.look()
    assert not scene.rounds.is_holder
    assert len(await scene.alarms()) == 1


async def test_a_process_that_slept_writes_nothing_of_its_old_round(scene: Scene) -> None:
    """It is overtaken between its look and its write."""
    other = AlarmRounds(scene.database, lambda: scene.now, monotonic=lambda: 0.0)
    await scene.look()
    await scene.add_node("n1", status="offline")
    observe = scene.rounds._observe

    async def slow(*args: object, **kwargs: object) -> object:
        found = await observe(*args, **kwargs)  # type: ignore[arg-type]
        scene.now += LEASE + timedelta(seconds=1)
        await other.look()
        return found

    scene.rounds._observe = slow  # type: ignore[assignment]
    scene.now += WHOLE
    with suppress(ConflictError):  # where the database let it see what the other one wrote, it has nothing to do
        await scene.rounds.look()
    assert len(await scene.alarms(live=False)) == 1
    assert (await scene.events()).count(("alarm.raised", "")) == 1


async def test_more_events_than_one_look_takes_are_all_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gamekeeper.control_plane.alarm.happened.BATCH", 3)
    await scene.look()
    for number in range(8):
        await scene.add_run(f"r{number}", pipeline=f"p{number}")
        await scene.happens(EventKind.RUN_FAILED, run=f"r{number}")
    await scene.look()
    assert len(await scene.alarms()) == 8
