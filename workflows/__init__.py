"""Deterministic orchestration, and nothing else. ``ALL_WORKFLOWS`` is what the control worker registers."""

from workflows.run.pipeline import PipelineWorkflow
from workflows.run.scheduled_run import ScheduledRunWorkflow

ALL_WORKFLOWS: list[type] = [PipelineWorkflow, ScheduledRunWorkflow]

__all__ = ["ALL_WORKFLOWS", "PipelineWorkflow", "ScheduledRunWorkflow"]
