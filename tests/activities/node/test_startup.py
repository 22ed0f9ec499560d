"""A service is healthy when one start of it has held: each look is a row, with the time that passed before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from activities.node.step.startup import MAX_RESTARTS, SETTLE_AGAIN_SECONDS, SETTLE_SECONDS, Startup
from gamekeeper.domain.run.step import Reason
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING, RESTARTING = ContainerStatus.RUNNING, ContainerStatus.RESTARTING


def look(start: int = 0, status: ContainerStatus = RUNNING, health: Health = Health.NONE) -> ContainerInfo:
    """A container in its start number ``start``."""
    return ContainerInfo(
        id="c",
        name="n",
        image="i",
        status=status,
        health=health,
        exit_code=1 if status is RESTARTING else 0,
        last_exit_code=1 if status is RESTARTING else None,
        started_at=EPOCH + timedelta(minutes=start),
        restart_count=start,
    )


@pytest.mark.parametrize(
    ("looks", "held"),
    [
        ([(0, look())], False),
        ([(0, look()), (SETTLE_SECONDS * 0.9, look())], False),
        ([(0, look()), (SETTLE_SECONDS, look())], True),
        ([(0, look()), (SETTLE_SECONDS, look(1))], False),
        ([(0, look()), (0.1, look(status=RESTARTING)), (SETTLE_SECONDS, look())], False),
        ([(0, look(1)), (SETTLE_SECONDS, look(1))], False),
        ([(0, look(1)), (SETTLE_AGAIN_SECONDS, look(1))], True),
        ([(0, look(1)), (SETTLE_AGAIN_SECONDS, replace(look(1), started_at=EPOCH))], False),
        ([(0, look(health=Health.STARTING)), (60, look(health=Health.STARTING))], False),
        ([(0, look(health=Health.UNHEALTHY)), (60, look(health=Health.UNHEALTHY))], False),
        ([(0, look(health=Health.UNHEALTHY)), (60, look(health=Health.HEALTHY))], True),
        ([(0, look(2, health=Health.HEALTHY))], True),
        ([(0, look(status=RESTARTING, health=Health.HEALTHY))], False),
        ([(0, look(status=ContainerStatus.PAUSED)), (60, look(status=ContainerStatus.PAUSED))], False),
    ],
)
def test_the_same_start_must_hold(looks: list[tuple[float, ContainerInfo]], held: bool) -> None:
    startup, now, last = Startup(), 100.0, False
    for passed, info in looks:
        now += passed
        last = startup.held(info, now)
    assert last is held


def test_many_crashes_are_the_end_but_not_of_what_is_healthy() -> None:
    startup = Startup()
    assert not startup.hopeless(look(MAX_RESTARTS - 1))
    assert startup.hopeless(look(MAX_RESTARTS, RESTARTING))
    assert not startup.hopeless(look(MAX_RESTARTS, health=Health.HEALTHY))


def test_trouble_is_told_with_the_exit_code_of_the_crash() -> None:
    startup = Startup()
    assert startup.describe(look()) == ""
    assert startup.describe(replace(look(3), last_exit_code=1)) == "it ended 3 times, last with exit code 1"
    check = replace(look(health=Health.UNHEALTHY), health_log="exit code 1")
    assert Startup().describe(check) == "its health check fails: exit code 1"


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (look(), ""),
        (look(1), "it ended once"),
        (look(1, RESTARTING), "it ended once, last with exit code 1"),
        (look(2), "it ended 2 times"),
        (look(health=Health.STARTING), ""),
        (replace(look(health=Health.STARTING), health_log="refused"), "its health check has not passed yet: refused"),
        (look(health=Health.UNHEALTHY), "its health check fails: it says nothing"),
        (look(1, health=Health.UNHEALTHY), "it ended once; its health check fails: it says nothing"),
        (replace(look(health=Health.HEALTHY), health_log="ok"), ""),
    ],
)
def test_the_words_for_what_keeps_a_service_from_being_healthy(info: ContainerInfo, words: str) -> None:
    assert Startup().describe(info) == words


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (look(), Reason.TIMEOUT),
        (look(health=Health.STARTING), Reason.TIMEOUT),
        (look(health=Health.UNHEALTHY), Reason.UNHEALTHY),
        (look(1), Reason.UNHEALTHY),
    ],
)
def test_the_reason_at_the_time_limit(info: ContainerInfo, reason: Reason) -> None:
    assert Startup().reason(info) is reason


@pytest.mark.parametrize(
    ("info", "after", "held"),
    [
        (look(), SETTLE_SECONDS, True),
        (look(), SETTLE_SECONDS / 2, False),
        (look(1), 60 + SETTLE_SECONDS, False),
        (look(1), 60 + SETTLE_AGAIN_SECONDS, True),
        (look(status=RESTARTING), 1000, False),
        (look(health=Health.HEALTHY), 0, True),
        (look(health=Health.UNHEALTHY), 1000, False),
    ],
)
def test_what_held_while_nobody_looked(info: ContainerInfo, after: float, held: bool) -> None:
    assert Startup().held_unseen(info, EPOCH + timedelta(seconds=after)) is held
