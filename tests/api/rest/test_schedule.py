"""Schedules over REST, on the real Temporal server, with a dummy engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import ScheduleRange, ScheduleUpdate, ScheduleUpdateInput

from tests.api.rest.test_run_control import step
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

YEARLY = "0 5 1 1 *"


class Scheduled:
    """A stored pipeline with a name of its own: the tests share one Temporal server."""

    def __init__(self, api: ApiUnderTest) -> None:
        self.api = api
        self.name = f"p-{uuid.uuid4().hex[:8]}"
        self.first = f"{self.name}-0"

    async def push(self, *lines: dict[str, Any], sleep: float = 0, **fields: Any) -> None:
        spec = {"name": self.name, "schedule": list(lines), "steps": [step("a", dummy={"sleep": sleep})]} | fields
        answer = await self.api.http.post("/pipelines", json={"spec": spec})
        assert answer.status_code == 201, answer.text

    async def apply(self, status: int = 200, **body: Any) -> Any:
        answer = await self.api.http.put(f"/pipelines/{self.name}/schedules", json={"node": "node-1"} | body)
        assert answer.status_code == status, answer.text
        return answer.json()["items"] if status == 200 else answer.json()

    async def post(self, what: str, body: dict[str, Any] | None = None, status: int = 202) -> dict[str, Any]:
        answer = await self.api.http.post(f"/schedules/{self.first}/{what}", json=body)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def get(self) -> dict[str, Any]:
        return dict((await self.api.http.get(f"/schedules/{self.first}")).json())

    async def listed(self) -> list[dict[str, Any]]:
        return list((await self.api.http.get("/runs", params={"schedule": self.first})).json()["items"])

    async def runs(self, count: int) -> list[dict[str, Any]]:
        """The schedule's runs, once there are so many that have ended."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                items = await self.listed()
                if len([item for item in items if item["finished_at"]]) >= count:
                    return items
                await asyncio.sleep(0.05)

    async def refused(self) -> list[str]:
        """The workflows of times that made no run."""
        query = "WorkflowType='ScheduledRunWorkflow' AND ExecutionStatus='Failed'"
        found = [item.id async for item in self.api.client.list_workflows(query)]
        return [name for name in found if name.startswith(f"schedule/{self.first}-")]

    async def clean_up(self) -> None:
        for item in (await self.api.http.get("/schedules")).json()["items"]:
            if item["pipeline"] == self.name:
                await self.api.http.delete(f"/schedules/{item['id']}")


def last_sunday(month: int) -> datetime:
    """Of a month with 31 days, last year."""
    end = datetime(datetime.now(UTC).year - 1, month, 31, tzinfo=UTC)
    return end - timedelta(days=end.isoweekday() % 7)


@pytest.fixture
async def scheduled(api: ApiUnderTest) -> AsyncIterator[Scheduled]:
    await api.add_node()
    await api.start_agent()
    await api.start_control_worker()
    made = Scheduled(api)
    yield made
    await made.clean_up()


async def test_it_is_what_the_pipeline_says(scheduled: Scheduled) -> None:
    lines = [
        {"cron": "*/15 4-6 * * MON", "timezone": "Europe/Berlin", "overlap": "cancel_old", "catch_up": "5m"},
        {"cron": YEARLY},
    ]
    await scheduled.push(*lines)
    first, second = await scheduled.apply()
    assert first["id"] == scheduled.first
    assert (first["cron"], first["timezone"], first["overlap"], first["catch_up"]) == (
        "*/15 4-6 * * MON",
        "Europe/Berlin",
        "cancel_old",
        300.0,
    )
    assert (second["cron"], second["timezone"], second["overlap"]) == (YEARLY, "UTC", "skip")
    assert second["next_at"][0] == f"{datetime.now(UTC).year + 1}-01-01T05:00:00Z"
    assert (first["running"], first["missed"], first["last_at"], first["created_by"]) == (0, 0, None, "key:admin")
    assert await scheduled.apply() == [first, second]
    listed = (await scheduled.api.http.get("/schedules")).json()["items"]
    assert [item for item in listed if item["pipeline"] == scheduled.name] == [first, second]


async def test_one_made_before_changes_were_told_is_told_them(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    (made,) = await scheduled.apply()
    handle = scheduled.api.client.get_schedule_handle(scheduled.first)
    whole = (await handle.describe()).schedule.spec

    def forget(now: ScheduleUpdateInput) -> ScheduleUpdate:
        now.description.schedule.spec.intervals = []
        now.description.schedule.spec.skip = []
        return ScheduleUpdate(now.description.schedule)

    await handle.update(forget)
    assert (await handle.describe()).schedule.spec != whole
    await scheduled.api.process.services.schedules.keep_times()
    kept = (await handle.describe()).schedule.spec
    assert (kept.intervals, kept.skip) == (whole.intervals, whole.skip) != ([], [])
    assert await scheduled.get() == made


async def test_it_follows_the_pipeline(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": YEARLY}, {"cron": "@daily"})
    await scheduled.apply()
    await scheduled.post("trigger")
    await scheduled.runs(1)
    await scheduled.post("pause", {"note": "holidays"}, status=200)
    before = await scheduled.get()
    await scheduled.push({"cron": "@hourly"})
    (only,) = await scheduled.apply()
    assert (only["cron"], only["paused"], only["note"]) == ("@hourly", True, "holidays")
    assert only["last_at"] == before["last_at"] is not None  # changed, not made anew
    assert (await scheduled.api.http.get(f"/schedules/{scheduled.name}-1")).status_code == 404


async def test_a_day_and_a_weekday_mean_either(scheduled: Scheduled) -> None:
    """Cron has it so; Temporal by itself would take days that are both."""
    await scheduled.push({"cron": "0 12 13 * FRI"})
    (made,) = await scheduled.apply()
    days = [datetime.fromisoformat(at) for at in made["next_at"]]
    assert len(days) == 5
    assert all(day.day == 13 or day.weekday() == 4 for day in days)
    assert (days[-1] - days[0]).days < 40


async def test_a_trigger_runs_the_newest_version(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": YEARLY}, args=["map"])
    refused = await scheduled.apply(status=422)
    assert refused["problems"][0]["path"] == "args.map"
    await scheduled.apply(args={"map": "dm1"})
    await scheduled.post("trigger")
    (run,) = await scheduled.runs(1)
    assert (run["state"], run["pipeline"], run["schedule"]) == ("succeeded", scheduled.name, scheduled.first)
    await scheduled.push({"cron": YEARLY}, args=["map"], description="newer")
    await scheduled.post("trigger")
    versions = [item["pipeline_version"] for item in await scheduled.runs(2)]
    assert sorted(versions) == [1, 2]
    assert (await scheduled.get())["last_at"] is not None


async def test_a_pinned_version_stays(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": YEARLY})
    await scheduled.push({"cron": YEARLY}, description="newer")
    (made,) = await scheduled.apply(version=1)
    assert made["version"] == 1
    await scheduled.post("trigger")
    (run,) = await scheduled.runs(1)
    assert run["pipeline_version"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_it_starts_by_itself(scheduled: Scheduled) -> None:
    """At each second of its minutes, because the next full minute may be a minute away."""
    await scheduled.push({"cron": "* * * * *"})
    (made,) = await scheduled.apply()

    def hurry(now: ScheduleUpdateInput) -> ScheduleUpdate:
        for calendar in now.description.schedule.spec.calendars:
            calendar.second = [ScheduleRange(0, 59)]
        return ScheduleUpdate(now.description.schedule)

    await scheduled.api.client.get_schedule_handle(scheduled.first).update(hurry)
    run = next(item for item in await scheduled.runs(1) if item["finished_at"])
    assert (run["state"], run["schedule"], run["pipeline"]) == ("succeeded", scheduled.first, scheduled.name)
    assert (await scheduled.get())["last_at"] is not None
    first, second = [datetime.fromisoformat(at) for at in made["next_at"][:2]]
    assert (first.second, second - first) == (0, timedelta(minutes=1))


async def test_what_is_missing_is_told(scheduled: Scheduled) -> None:
    spec = {"name": scheduled.name, "steps": [step("a")]}
    await scheduled.api.http.post("/pipelines", json={"spec": spec})
    refused = await scheduled.apply(status=422)
    assert refused["detail"] == f'pipeline "{scheduled.name}" version 1 has no "schedule"'
    assert (await scheduled.api.http.put("/pipelines/nothing/schedules", json={})).status_code == 404
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/trigger")):
        answer = await scheduled.api.http.request(method, f"/schedules/nothing{path}")
        assert (answer.status_code, answer.json()["detail"]) == (404, 'there is no schedule "nothing"')


async def test_pause_and_resume(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": "@hourly"})
    await scheduled.apply()
    paused = await scheduled.post("pause", {"note": "moving house"}, status=200)
    assert (paused["paused"], paused["note"], paused["next_at"]) == (True, "moving house", [])
    resumed = await scheduled.post("resume", status=200)
    assert (resumed["paused"], len(resumed["next_at"])) == (False, 5)
    events = (await scheduled.api.http.get("/events", params={"kind": "schedule"})).json()["items"]
    assert [event["kind"] for event in events] == ["schedule.resumed", "schedule.paused", "schedule.created"]
    assert {event["actor"] for event in events} == {"key:admin"}


async def test_a_backfill(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": "@hourly"})
    await scheduled.apply()
    now = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=1)
    span = {"from": (now - timedelta(hours=3)).isoformat(), "to": now.isoformat()}
    assert await scheduled.post("backfill", span) == {"runs": 3}
    runs = await scheduled.runs(3)
    assert [run["state"] for run in runs] == ["succeeded"] * 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "before", "after", "runs"),
    [
        ("30 2 * * *", -24, 48, 3),  # in spring this day has no 02:30, in autumn two
        ("0 1 * * *", -4, 20, 1),
        ("0 * * * *", -1, 3, 5),  # both ends are of it
    ],
)
@pytest.mark.parametrize("month", [3, 10])
async def test_as_many_runs_as_are_told(
    scheduled: Scheduled, month: int, line: str, before: int, after: int, runs: int
) -> None:
    """Around the days on which last year Berlin's clocks were changed."""
    await scheduled.push({"cron": line, "timezone": "Europe/Berlin", "overlap": "allow"})
    await scheduled.apply()
    await scheduled.post("pause", status=200)  # its own times stay out of it
    change = last_sunday(month)
    span = [(change + timedelta(hours=hours)).isoformat() for hours in (before, after)]
    told = await scheduled.post("backfill", {"from": span[0], "to": span[1], "overlap": "queue"})
    assert told == {"runs": runs}
    assert len(await scheduled.runs(runs)) == runs
    async with asyncio.timeout(HANG_SECONDS):
        while (await scheduled.get())["running"]:
            await asyncio.sleep(0.05)
    assert len(await scheduled.listed()) == runs


async def test_storms_are_refused(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": "* * * * *"})
    await scheduled.apply()
    await scheduled.post("pause", status=200)
    now = datetime.now(UTC)
    year = {"from": (now - timedelta(days=365)).isoformat(), "to": now.isoformat()}
    refused = await scheduled.post("backfill", year, status=422)
    assert "comes more than 1000 times" in refused["detail"]
    for start, end in ((now, now), (now, now + timedelta(days=1)), (now, now - timedelta(days=1))):
        await scheduled.post("backfill", {"from": start.isoformat(), "to": end.isoformat()}, status=422)
    long_ago = {"from": "1999-01-01T00:00:00Z", "to": "1999-01-02T00:00:00Z"}
    refused = await scheduled.post("backfill", long_ago, status=422)
    assert refused["detail"] == f"a backfill goes back to {now.year - 5} at most"
    many = {"name": "many", "schedule": [{"cron": "@daily"}] * 21, "steps": [step("a")]}
    answer = await scheduled.api.http.post("/pipelines", json={"spec": many})
    assert "limit of 20" in answer.json()["problems"][0]["message"]


async def test_runs_of_a_schedule_do_not_pile_up(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gamekeeper.control_plane.intake.accept.MAX_OPEN_OF_SCHEDULE", 2)
    await scheduled.push({"cron": YEARLY, "overlap": "allow"}, sleep=60)
    await scheduled.apply()
    async with asyncio.timeout(HANG_SECONDS):
        while not await scheduled.refused():
            await scheduled.post("trigger")  # Temporal makes one run of those of the same second
            await asyncio.sleep(0.3)
    assert (await scheduled.get())["running"] == 2
    items = await scheduled.listed()
    assert len(items) == 2
    for item in items:
        await scheduled.api.http.post(f"/runs/{item['id']}/cancel", json={})
    await scheduled.runs(2)


async def test_the_pipeline_of_a_schedule_stays(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": YEARLY})
    await scheduled.apply()
    kept = await scheduled.api.http.delete(f"/pipelines/{scheduled.name}")
    assert (kept.status_code, kept.json()["detail"]) == (
        409,
        f'pipeline "{scheduled.name}" is started by {scheduled.first}',
    )
    await scheduled.api.http.delete(f"/schedules/{scheduled.first}")
    assert (await scheduled.api.http.delete(f"/pipelines/{scheduled.name}")).status_code == 204


async def test_a_time_that_makes_no_run_is_told(scheduled: Scheduled) -> None:
    await scheduled.push({"cron": YEARLY})
    await scheduled.apply()
    await scheduled.push({"cron": YEARLY}, args=["map"])  # the newest version asks for what nobody gives
    await scheduled.post("trigger")

    async def refused() -> list[str]:
        items = (await scheduled.api.http.get("/events", params={"kind": "schedule.refused"})).json()["items"]
        return [item["message"] for item in items]

    async with asyncio.timeout(HANG_SECONDS):
        while not (told := await refused()):
            await asyncio.sleep(0.05)
    assert told == [f"{scheduled.first}: 1 problem in the pipeline; first: args.map: is required"]
    assert await scheduled.listed() == []
