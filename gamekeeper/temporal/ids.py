"""Workflow ids, built and read here alone."""

RUN_PREFIX = "run/"
SCHEDULE_PREFIX = "schedule/"


def run_workflow_id(run_id: str) -> str:
    return RUN_PREFIX + run_id


def schedule_workflow_id(schedule: str) -> str:
    """The id that Temporal adds the time to."""
    return SCHEDULE_PREFIX + schedule
