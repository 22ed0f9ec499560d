"""The pipeline that may ensure an instance: its own one, for a step on its node."""

from __future__ import annotations

from gamekeeper.db.models import InstanceRow
from gamekeeper.errors import ConflictError


def check_is_free(row: InstanceRow, pipeline: str, node: str) -> None:
    """Raises ConflictError that says whose the instance is, and what to do."""
    if row.pipeline != pipeline:
        owner = f"belongs to pipeline {row.pipeline}" if row.pipeline else f"was made by {row.created_by or 'somebody'}"
        hint = f"name another, or take it over: gamekeeper instance edit {row.id} --pipeline {pipeline}"
        raise ConflictError(f'instance "{row.id}" {owner}', hint=hint, code="instance_taken")
    if row.node_id != node:
        message = f'instance "{row.id}" is on node {row.node_id}, and an instance does not move yet'
        hint = f"name another, or remove it first: gamekeeper instance rm {row.id}"
        raise ConflictError(message, hint=hint, code="instance_elsewhere")
