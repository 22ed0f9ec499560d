"""People are told of what is theirs, once: by channel, silence, window, acknowledgement, and in a flood."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gamekeeper.db.models import AlarmRow, ChannelRow, InstanceRow, NodeRow, SilenceRow, WindowRow
from gamekeeper.db.repositories.silence import WindowRepository
from gamekeeper.domain.alarm.notice import DIGEST_WAIT
from gamekeeper.domain.event.event_kind import EventKind
from tests.gamekeeper.control_plane.alarm.scenes import Scene


async def offline(scene: Scene, *nodes: str) -> None:
    for node in nodes:
        await scene.set(NodeRow, node, status="offline")
    await scene.look()


async def test_a_channel_is_told_of_what_it_is_for(scene: Scene) -> None:
    await scene.add_channel("all")
    await scene.add_channel("critical", severity="critical")
    await scene.add_channel("blue", on={"labels": {"team": "blue"}})
    await scene.add_channel("rules", rules=["run-failed"])
    await scene.add_channel("off", enabled=False)
    await scene.add_node("n1", status="offline", labels={"team": "blue"})
    await scene.add_node("n2", status="offline")
    await scene.look()
    await scene.add_run("r1")
    await scene.happens(EventKind.RUN_FAILED, run="r1")
    await scene.look()
    assert sorted(await scene.told("all")) == [("raised", ["n1"]), ("raised", ["n2"]), ("raised", ["nightly"])]
    assert sorted(await scene.told("critical")) == [("raised", ["n1"]), ("raised", ["n2"])]
    assert await scene.told("blue") == [("raised", ["n1"])]
    assert await scene.told("rules") == [("raised", ["nightly"])]
    assert await scene.told("off") == []


async def test_whoever_sees_the_children_alone_gets_them_together(scene: Scene) -> None:
    await scene.add_channel("owner", on={"kind": "instance", "ids": ["mine-*"]})
    await scene.add_node("n1")
    for name in ("mine-a", "mine-b", "others"):
        await scene.add_instance(name, "n1")
    await scene.look()
    await offline(scene, "n1")
    assert await scene.told("owner") == [("raised", ["mine-a", "mine-b"])]
    await scene.set(NodeRow, "n1", status="online")
    await scene.look()
    await scene.later(5)
    assert (await scene.told("owner"))[1:] == [("cleared", ["mine-a", "mine-b"])]


async def test_a_silence_mutes_and_what_still_stands_is_told_at_its_end(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    until = scene.now + timedelta(minutes=10)
    await scene.add(SilenceRow(on={"kind": "node", "ids": ["n1"]}, until=until))
    await offline(scene, "n1")
    (alarm,) = await scene.alarms()
    assert alarm.muted.startswith("silence ")
    assert await scene.told() == []
    await scene.later(601)
    assert (await scene.alarms())[0].muted == ""
    assert await scene.told() == [("raised", ["n1"])]


async def test_what_ends_while_it_is_muted_tells_nobody(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    await scene.add(SilenceRow(on={"kind": "node"}, until=scene.now + timedelta(hours=1)))
    await offline(scene, "n1")
    await scene.set(NodeRow, "n1", status="online")
    await scene.look()
    await scene.later(5)
    assert await scene.alarms() == []
    assert await scene.told() == []


async def test_a_recurring_window_mutes_by_label_and_by_the_clock_on_the_wall(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1", status="offline", labels={"pool": "eu"})
    await scene.add_node("n2", status="offline")
    window: dict[str, Any] = {
        "cron": "0 4 * * MON",
        "timezone": "Europe/Berlin",
        "duration": "1h",
    }  # 03:00 UTC in winter
    await scene.add(WindowRow(name="updates", on={"kind": "node", "labels": {"pool": "eu"}}, **window))
    await scene.look()
    assert {alarm.object_id: alarm.muted for alarm in await scene.alarms()} == {"n1": "window updates", "n2": ""}
    await scene.later(3600)
    assert await scene.told() == [("raised", ["n2"]), ("raised", ["n1"])]


async def test_a_drain_opens_a_window_for_its_node_and_all_on_it(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1", drain_until=scene.now + timedelta(hours=1))
    await scene.add_instance("a", "n1", state="failed")
    await scene.look()
    assert [alarm.muted for alarm in await scene.alarms()] == ["window drain:n1"]
    await scene.set(NodeRow, "n1", drain_until=None)
    await scene.look()
    assert await scene.told() == []
    await scene.later(61)
    assert await scene.told() == [("raised", ["a"])]


async def test_an_update_opens_a_window_for_its_instance(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    operation = {"action": "update", "by": "key:ci", "since": scene.now.isoformat()}
    await scene.add_instance("a", "n1", state="failed", operation=operation)
    await scene.look()
    assert [alarm.muted for alarm in await scene.alarms()] == ["window update:a"]
    await scene.set(InstanceRow, "a", operation=None, state="ready")
    await scene.look()
    assert await scene.alarms() == []
    assert await scene.told() == []


async def test_a_users_window_takes_no_name_of_our_own_work(scene: Scene) -> None:
    await scene.add_channel()
    names = ("drain-n1", "update-a")
    await scene.add(*(WindowRow(name=name, cron="0 4 * * *", timezone="UTC", duration="1m") for name in names))
    await scene.add_node("n1", drain_until=scene.now + timedelta(hours=1))
    operation = {"action": "update", "by": "key:ci", "since": scene.now.isoformat()}
    await scene.add_instance("a", "n1", operation=operation)
    await scene.add_node("n2", status="offline")
    await scene.look()
    assert await scene.told() == [("raised", ["n2"])]
    async with scene.database.read() as session:
        assert len(await WindowRepository(session).all(scene.now)) == 4


async def test_an_action_that_never_ends_mutes_for_two_hours_alone(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_node("n1")
    operation = {"action": "update", "by": "key:ci", "since": scene.now.isoformat()}
    await scene.add_instance("a", "n1", state="failed", operation=operation)
    await scene.look()
    await scene.later(7201)
    assert await scene.told() == [("raised", ["a"])]


async def test_what_nobody_acknowledges_is_escalated(scene: Scene) -> None:
    await scene.add_channel()
    await scene.add_channel("boss", after="15m")
    await scene.add_node("n1")
    await scene.add_node("n2")
    await offline(scene, "n1", "n2")
    first = next(alarm for alarm in await scene.alarms() if alarm.object_id == "n1")
    await scene.set(AlarmRow, first.id, acknowledged_at=scene.now, acknowledged_by="key:ops")
    await scene.later(600)
    assert await scene.told("boss") == []
    await scene.later(300)
    assert await scene.told("boss") == [("escalated", ["n2"])]
    await scene.later(300)
    assert len(await scene.told("boss")) == 1


async def test_a_flood_is_a_few_messages_and_one_digest_that_counts_all(scene: Scene) -> None:
    await scene.add_channel(burst=3)
    for number in range(120):
        await scene.add_node(f"n{number:03}", status="offline")
    await scene.look()
    assert len(await scene.alarms()) == 120
    told = await scene.told()
    assert [kind for kind, _ in told] == ["raised"] * 3 + ["digest"]
    digest = (await scene.notices())[-1]
    assert (digest.state, digest.content["total"], len(digest.content["alarms"])) == (
        "gathering",
        {"Node offline": 117},
        50,
    )
    await scene.add_node("late", status="offline")
    await scene.look()
    assert len(await scene.notices()) == 4
    await scene.later(DIGEST_WAIT.total_seconds())
    digest = (await scene.notices())[-1]
    assert (digest.state, digest.content["total"]) == ("waiting", {"Node offline": 118})
    await scene.later(60)
    await scene.set(NodeRow, "late", status="online")
    await scene.look()
    await scene.later(5)
    assert [kind for kind, _ in (await scene.told())[4:]] == ["cleared"]


async def test_a_channel_that_is_removed_keeps_nobody_from_their_messages(scene: Scene) -> None:
    await scene.add_channel("gone")
    await scene.add_channel("here")
    await scene.add_node("n1", status="offline")
    await scene.look()
    async with scene.database.write() as session:
        await session.delete(await session.get(ChannelRow, "gone"))
    await scene.set(NodeRow, "n1", status="online")
    await scene.look()
    await scene.later(5)
    assert [kind for kind, _ in await scene.told("here")] == ["raised", "cleared"]
    assert [kind for kind, _ in await scene.told("gone")] == ["raised"]
