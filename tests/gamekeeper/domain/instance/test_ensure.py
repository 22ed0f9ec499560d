"""The revision that a step asks for, and the outcome of the step."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.instance.ensure import restart_of, spec_of, step_result, too_late
from gamekeeper.domain.instance.spec import RestartPolicy
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.resolved import ResolvedInstance
from gamekeeper.domain.run.step import Reason, StepState
from tests.factories import make_container
from tests.fakes.instance_ensurer import make_end


@pytest.mark.parametrize(
    ("word", "policy", "attempts"),
    [
        ("no", RestartPolicy.NO, 5),
        ("always", RestartPolicy.ALWAYS, 5),
        ("unless-stopped", RestartPolicy.ALWAYS, 5),
        ("on-failure", RestartPolicy.ON_FAILURE, 5),
        ("on-failure:3", RestartPolicy.ON_FAILURE, 3),
    ],
)
def test_composes_word_becomes_a_budget(word: str, policy: RestartPolicy, attempts: int) -> None:
    restart = restart_of(word)
    assert (restart.policy, restart.attempts) == (policy, attempts)


def test_the_time_limit_of_the_step_is_that_of_the_start() -> None:
    spec = spec_of(make_container(), ResolvedInstance(id="arena", group="deploy"), "server", 90.4)
    assert (spec.ready.within, spec.group, spec.aliases) == ("90s", "deploy", ["server"])


def test_the_new_revision_is_ready() -> None:
    found = step_result("arena", make_end(2, container_id="c", digest="d", ports=["1->2/udp"]))
    assert (found.state, found.container_id, found.digest, found.ports) == (S, "c", "d", ["1->2/udp"])
    assert (found.reason, found.outputs) == (None, {"instance": "arena", "revision": 2})


S, F = StepState.SUCCEEDED, StepState.FAILED
ENDS: list[tuple[dict[str, Any], Reason, str]] = [
    (
        {"state": InstanceState.CRASH_LOOP, "reason": InstanceReason.EXIT_CODE, "message": "exit code 7: no map"},
        Reason.EXIT_CODE,
        "revision 2 of instance arena is not ready but crash loop: exit code 7: no map",
    ),
    (
        {"state": InstanceState.FAILED, "reason": InstanceReason.PULL_FAILED, "message": "no image", "reverted": True},
        Reason.PULL_FAILED,
        "not ready but failed: no image; the revision before it is back",
    ),
    ({"state": InstanceState.FAILED, "reason": InstanceReason.POLICY}, Reason.POLICY, "is not ready but failed"),
    ({"state": InstanceState.FAILED}, Reason.UNHEALTHY, "is not ready but failed"),
    (
        {"is_ready": False, "reason": InstanceReason.PULL_FAILED, "message": "no image"},
        Reason.PULL_FAILED,
        "is not ready: no image; the revision before it is back",
    ),
    ({"state": InstanceState.STOPPED, "reason": InstanceReason.USER}, Reason.USER, "is not ready but stopped"),
    ({"state": None, "message": "kill by ann took its place"}, Reason.SUPERSEDED, "not ready: kill by ann took"),
]


@pytest.mark.parametrize(("end", "reason", "message"), ENDS)
def test_it_is_not_ready(end: dict[str, Any], reason: Reason, message: str) -> None:
    found = step_result("arena", make_end(2, **end))
    assert (found.state, found.reason) == (F, reason)
    assert message in found.message


@pytest.mark.parametrize("reason", InstanceReason)
def test_every_reason_is_one_of_a_step(reason: InstanceReason) -> None:
    found = step_result("arena", make_end(2, state=InstanceState.FAILED, reason=reason))
    assert (found.state, found.reason is None) == (F, False)


def test_the_wait_is_over_and_the_instance_goes_on() -> None:
    found = too_late("arena", "2m", "it is preparing")
    assert (found.state, found.reason) == (F, Reason.TIMEOUT)
    assert found.message == (
        "instance arena was not ready within 2m: it is preparing; it goes on: gamekeeper instance show arena"
    )
