"""Answers of nodes, decoded in our own code: one that lies, or whose agent is newer, fails its own step or action.

Decoded by the SDK, before our code sees it, such an answer would fail the workflow's task or all of the run.
"""

from __future__ import annotations

from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

MAX_WORDS = 300
Told = TypeVar("Told", bound=BaseModel)


def read_told(told: RawValue | None, model: type[Told]) -> Told:
    """Raises ValueError with the words of what is wrong with it."""
    try:
        found = workflow.payload_converter().from_payload(told.payload, model) if told else None
        if not isinstance(found, model):
            raise TypeError("nothing of the kind is in it")
        return found
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:MAX_WORDS]) from error
