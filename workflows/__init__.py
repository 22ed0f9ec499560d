"""Deterministic orchestration, and nothing else. The control worker registers ``ALL_WORKFLOWS``."""

from workflows.alarm.notification import NotificationWorkflow
from workflows.instance.instance import InstanceWorkflow
from workflows.instance.schedule import InstanceScheduleWorkflow
from workflows.run.pipeline import PipelineWorkflow
from workflows.run.scheduled_run import ScheduledRunWorkflow

ALL_WORKFLOWS: list[type] = [
    PipelineWorkflow,
    ScheduledRunWorkflow,
    InstanceWorkflow,
    InstanceScheduleWorkflow,
    NotificationWorkflow,
]

__all__ = [
    "ALL_WORKFLOWS",
    "InstanceScheduleWorkflow",
    "InstanceWorkflow",
    "NotificationWorkflow",
    "PipelineWorkflow",
    "ScheduledRunWorkflow",
]
