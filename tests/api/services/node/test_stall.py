"""An api that stood still blames no node for it; one that did not blames those that are silent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from api.services.node.agent_session import AgentSession
from api.services.node.presence import LATE_RETURN_SECONDS, LINE_SECONDS, RETURN_SECONDS, Lease, Presence
from api.services.node.stall import PULSE_SECONDS, TOLERANCE_SECONDS, StallWatch
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.processor_wait import ProcessorWait

LEASE = 8.0


class Clocks:
    """The machine's clocks; ``sleep`` is the machine's, which the monotonic one does not count."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.boottime = 5000.0

    def go(self, seconds: float) -> None:
        self.monotonic += seconds
        self.boottime += seconds

    def sleep(self, seconds: float) -> None:
        self.boottime += seconds


class Watched:
    """One node, heard of at the beginning."""

    def __init__(self, database: Database) -> None:
        self.clocks = Clocks()
        self.waited = 0.0
        self.database = database
        watch = StallWatch(lambda: self.clocks.monotonic, lambda: self.clocks.boottime, lambda: self.waited)
        self.presence = Presence(database, Lease(2000, int(LEASE * 1000)), self._changed, watch)
        self.session: AgentSession | None = None

    async def _changed(self, node_id: str) -> None:
        assert node_id == "n"

    async def begin(self) -> None:
        async with self.database.write() as session:
            session.add(NodeRow(id="n", name="n"))
        self.session = await self.presence.open("n", NodeFacts(), NodePolicy())

    async def go(self, seconds: float) -> None:
        """The process runs, pulses and watches."""
        for _ in range(round(seconds / PULSE_SECONDS)):
            self.clocks.go(PULSE_SECONDS)
            await self.presence.pulse()
            await self.presence.watch()

    async def status(self) -> str:
        async with self.database.read() as session:
            return (await NodeRepository(session).statuses())["n"]


@pytest.fixture
async def watched(database: Database) -> Watched:
    made = Watched(database)
    await made.begin()
    return made


async def test_a_silent_node_is_lost_after_its_lease(watched: Watched) -> None:
    await watched.go(LEASE - 1)
    assert await watched.status() == "suspect"
    await watched.go(2)
    assert await watched.status() == "offline"


@pytest.mark.parametrize("frozen", [1.0, 3.0, LEASE - 1, LEASE + 1, 600.0])
async def test_a_stop_of_the_api_is_no_silence_of_the_node(watched: Watched, frozen: float) -> None:
    await watched.go(2)
    watched.clocks.go(frozen)
    await watched.presence.watch()  # whose turn comes first is not known: the pulse may be late as well
    assert await watched.status() == "online"
    await watched.go(1)
    assert await watched.status() == "online"


async def test_a_machine_that_slept_gives_its_nodes_the_time_of_a_restart(watched: Watched) -> None:
    await watched.go(2)
    watched.clocks.sleep(3600)
    await watched.go(LATE_RETURN_SECONDS + LEASE / 4)  # its agent may have been asking as seldom as it does
    assert await watched.status() == "online"


async def test_a_node_that_went_meanwhile_is_found_out(watched: Watched) -> None:
    watched.clocks.go(600)
    await watched.go(LATE_RETURN_SECONDS + LEASE + 1)
    assert await watched.status() == "offline"


@pytest.mark.parametrize(("away", "patience"), [(5.0, RETURN_SECONDS), (300.0, LATE_RETURN_SECONDS)])
async def test_a_restart_waits_as_long_as_agents_may_need(watched: Watched, away: float, patience: float) -> None:
    async with watched.database.write() as session:
        await NodeRepository(session).set_seen(["n"], utc_now() - timedelta(seconds=away))
    again = Watched(watched.database)
    await again.presence.load()
    await again.go(patience + LEASE / 4)
    assert await again.status() == "online"
    await again.go(LEASE)
    assert await again.status() == "offline"


async def test_short_stops_add_up_to_what_they_lasted(watched: Watched) -> None:
    for _ in range(20):
        watched.clocks.go(2.0)
        await watched.presence.pulse()
    await watched.presence.watch()
    assert await watched.status() == "suspect"  # twenty times a pulse is time in which it could be heard


async def test_a_busy_loop_grants_nothing(watched: Watched) -> None:
    late = PULSE_SECONDS + TOLERANCE_SECONDS / 2
    for _ in range(round((LEASE + 1) / late)):
        watched.clocks.go(late)
        await watched.presence.watch()
    assert await watched.status() == "offline"


async def test_the_round_trip_through_a_stop_is_not_believed(watched: Watched) -> None:
    assert not watched.presence.may_have_delayed("n")
    watched.clocks.go(5)
    await watched.presence.pulse()
    assert watched.presence.may_have_delayed("n")
    await watched.go(7)
    assert not watched.presence.may_have_delayed("n")


def late(watched: Watched, seconds: float = 1.0) -> None:
    watched.presence.lateness.note(seconds)


async def test_a_late_api_tells_longer_times_and_judges_by_them(watched: Watched) -> None:
    assert watched.session is not None
    plain_beat, plain_lease = watched.presence.times(watched.session)
    late(watched)
    beat, lease = watched.presence.times(watched.session)
    stretch = watched.presence.lateness.stretch
    assert (beat, lease) == (int(plain_beat * stretch), int(plain_lease * stretch))
    assert stretch > 2
    late(watched, 0.0)
    watched.presence.lateness._held = 0.0  # long after
    await watched.go(LEASE + 1)
    assert await watched.status() == "online", "the agent was told to be silent for longer"
    await watched.go(stretch * LEASE)
    assert await watched.status() == "offline"
    watched.presence.beat(watched.session)
    watched.presence.beat(watched.session)
    for is_second in (False, True):  # it has set the time of its next heartbeat before it hears the first
        assert watched.presence.times(watched.session) == (plain_beat, plain_lease)
        assert (watched.presence._stretch_of("n") == 1) is is_second
    await watched.go(LEASE / 2 + 1)
    assert await watched.status() == "suspect"


async def test_a_node_that_may_stand_in_our_own_line_is_not_called_lost(watched: Watched) -> None:
    assert watched.session is not None
    watched.presence.close(watched.session)
    watched.presence.lateness._held = watched.presence.lateness._last = 1.0
    await watched.go(60)
    assert await watched.status() == "online"
    watched.presence.lateness._held = watched.presence.lateness._last = 0.0
    await watched.go(LINE_SECONDS + LEASE + 1)
    assert await watched.status() == "offline"


@pytest.mark.parametrize(("share", "status"), [(0.0, "offline"), (0.9, "online")])
async def test_time_in_which_the_api_waits_for_a_processor_is_no_silence(
    watched: Watched, share: float, status: str
) -> None:
    watched.waited = share * PULSE_SECONDS
    for _ in range(round((LEASE + 1) / PULSE_SECONDS)):
        watched.clocks.go(PULSE_SECONDS)
        watched.presence._stalls.count_waits()
        await watched.presence.watch()
    assert await watched.status() == status


def test_the_kernel_tells_how_long_threads_waited(tmp_path: Path) -> None:
    assert ProcessorWait().since_last() >= 0
    for thread, told in (("1", "5 1000000000 7"), ("2", "5 3000000000 7")):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(told)
    wait = ProcessorWait(tmp_path)
    (tmp_path / "1" / "schedstat").write_text("6 1500000000 8")
    (tmp_path / "2" / "schedstat").write_text("6 5000000000 8")
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "schedstat").write_text("6 9000000000 8")
    assert wait.since_last() == 2.0, "the longest, without a thread that was not there"
    (tmp_path / "1" / "schedstat").write_text("")
    assert wait.since_last() == 0.0
