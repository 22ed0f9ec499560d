"""Requests of users to a run that goes on: the arguments of its workflow's updates. ``by`` names the user."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel


class ApprovalAnswer(BaseModel):
    step: str
    approved: bool
    by: str
    comment: str = ""


class HoldAction(StrEnum):
    """The decision on a held step: another try, an end as if its ``if`` had been false, or the failure that it had."""

    RETRY = "retry"
    SKIP = "skip"
    FAIL = "fail"


class HoldAnswer(BaseModel):
    step: str
    action: HoldAction
    by: str


class PauseRequest(BaseModel):
    paused: bool
    by: str


class CancelWords(BaseModel):
    """Sent to a run before its cancel: the reason in somebody's words. In the cancel itself Temporal would keep them in
    clear."""

    reason: str


class StepCancel(BaseModel):
    step: str
    by: str
    reason: str = ""
