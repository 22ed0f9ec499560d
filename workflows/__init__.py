"""Deterministic orchestration, and nothing else. The control worker registers ``ALL_WORKFLOWS``."""

from workflows.run.pipeline import PipelineWorkflow
from workflows.run.scheduled_run import ScheduledRunWorkflow

ALL_WORKFLOWS: list[type] = [PipelineWorkflow, ScheduledRunWorkflow]

__all__ = ["ALL_WORKFLOWS", "PipelineWorkflow", "ScheduledRunWorkflow"]
