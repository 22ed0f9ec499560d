"""Deterministic orchestration, and nothing else. ``ALL_WORKFLOWS`` is what the control worker registers."""

from workflows.pipeline import PipelineWorkflow

ALL_WORKFLOWS: list[type] = [PipelineWorkflow]

__all__ = ["ALL_WORKFLOWS", "PipelineWorkflow"]
