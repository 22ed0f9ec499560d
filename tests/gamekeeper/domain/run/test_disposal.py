"""Every row of the rule that says what becomes of a container."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gamekeeper.domain.run.disposal import ORPHAN_GRACE, Disposal, HeldContainer, Owner, dispose
from gamekeeper.domain.run.step import FINAL_STATES, StepState

KEEP, REMOVE, STOP = Disposal.KEEP, Disposal.REMOVE, Disposal.STOP
RUNNING, SUCCEEDED, FAILED, CANCELED = (
    StepState.RUNNING,
    StepState.SUCCEEDED,
    StepState.FAILED,
    StepState.CANCELED,
)
YOUNG = ORPHAN_GRACE - timedelta(seconds=1)
TRY = 2  # of the container in every row

JOB = Owner(RUNNING, TRY, is_service=False, run_has_ended=False)
SERVICE = replace(JOB, is_service=True)
OUTLIVES = True

# The step that owns a container, whether the container is to outlive its run, its age; what becomes of it when it has
# ended, and when it runs.
ROWS = {
    "unknown, just made": (None, not OUTLIVES, YOUNG, KEEP, KEEP),
    "unknown, of age": (None, not OUTLIVES, ORPHAN_GRACE, REMOVE, STOP),
    "unknown, of its node": (None, OUTLIVES, ORPHAN_GRACE, KEEP, KEEP),
    "job goes on": (JOB, not OUTLIVES, ORPHAN_GRACE, KEEP, KEEP),
    "job goes on with a later try": (replace(JOB, try_=TRY + 1), not OUTLIVES, YOUNG, REMOVE, STOP),
    "job goes on, and the read model is behind": (replace(JOB, try_=TRY - 1), not OUTLIVES, YOUNG, KEEP, KEEP),
    "job waits for its first try": (replace(JOB, state=StepState.PENDING, try_=0), not OUTLIVES, YOUNG, KEEP, KEEP),
    "job has succeeded": (replace(JOB, state=SUCCEEDED), not OUTLIVES, YOUNG, REMOVE, STOP),
    "job was canceled before its first try": (replace(JOB, state=CANCELED, try_=0), not OUTLIVES, YOUNG, REMOVE, STOP),
    "job goes on in a run that has ended": (replace(JOB, run_has_ended=True), not OUTLIVES, YOUNG, REMOVE, STOP),
    "service comes up": (SERVICE, not OUTLIVES, YOUNG, KEEP, KEEP),
    "service is up": (replace(SERVICE, state=SUCCEEDED), not OUTLIVES, YOUNG, KEEP, KEEP),
    "service is up, run over": (
        replace(SERVICE, state=SUCCEEDED, run_has_ended=True),
        not OUTLIVES,
        YOUNG,
        REMOVE,
        STOP,
    ),
    "service is up with a later try": (
        replace(SERVICE, state=SUCCEEDED, try_=TRY + 1),
        not OUTLIVES,
        YOUNG,
        REMOVE,
        STOP,
    ),
    "service was up before this try": (
        replace(SERVICE, state=SUCCEEDED, try_=TRY - 1),
        not OUTLIVES,
        YOUNG,
        REMOVE,
        STOP,
    ),
    "service has failed": (replace(SERVICE, state=FAILED), not OUTLIVES, YOUNG, REMOVE, STOP),
    "server comes up": (SERVICE, OUTLIVES, YOUNG, KEEP, KEEP),
    "server is up": (replace(SERVICE, state=SUCCEEDED), OUTLIVES, YOUNG, KEEP, KEEP),
    "server is up, run over": (
        replace(SERVICE, state=SUCCEEDED, run_has_ended=True),
        OUTLIVES,
        ORPHAN_GRACE,
        KEEP,
        KEEP,
    ),
    "server is up with a later try": (replace(SERVICE, state=SUCCEEDED, try_=TRY + 1), OUTLIVES, YOUNG, REMOVE, STOP),
    "server has failed": (replace(SERVICE, state=FAILED, run_has_ended=True), OUTLIVES, YOUNG, REMOVE, STOP),
}


@pytest.mark.parametrize("name", ROWS)
def test_disposal(name: str) -> None:
    owner, outlives_run, age, when_ended, when_running = ROWS[name]
    ended = HeldContainer(TRY, ended=True, outlives_run=outlives_run, age=age)
    assert dispose(ended, owner) is when_ended
    assert dispose(replace(ended, ended=False), owner) is when_running


@pytest.mark.parametrize("state", StepState)
def test_a_job_is_kept_for_as_long_as_its_step_goes_on(state: StepState) -> None:
    container = HeldContainer(TRY, ended=True, outlives_run=False, age=ORPHAN_GRACE)
    assert dispose(container, replace(JOB, state=state)) is (REMOVE if state in FINAL_STATES else KEEP)
