"""Workflow ids, built and read here alone."""

RUN_PREFIX = "run/"
INSTANCE_PREFIX = "instance/"
SCHEDULE_PREFIX = "schedule/"
NOTIFICATION_PREFIX = "notification/"


def run_workflow_id(run_id: str) -> str:
    return RUN_PREFIX + run_id


def instance_workflow_id(instance_id: str) -> str:
    return INSTANCE_PREFIX + instance_id


def schedule_workflow_id(schedule: str) -> str:
    """The id that Temporal adds the time to."""
    return SCHEDULE_PREFIX + schedule


def notification_workflow_id(notification_id: str) -> str:
    return NOTIFICATION_PREFIX + notification_id


def instance_schedule_id(instance_id: str, name: str) -> str:
    """Temporal's id of a schedule of an instance. No schedule of a pipeline has a slash in its own."""
    return f"{instance_workflow_id(instance_id)}/{name}"


def instance_and_schedule(found: str) -> tuple[str, str] | None:
    """The instance and the name behind such an id; None for a schedule that is no instance's."""
    if not found.startswith(INSTANCE_PREFIX):
        return None
    instance, _, name = found.removeprefix(INSTANCE_PREFIX).partition("/")
    return (instance, name) if instance and name else None
