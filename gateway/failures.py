"""Failures as a node may tell them: words, and what they mean for the next attempt.

A workflow's worker decodes a failure before our code sees it, in the task of the workflow. Details that nobody can
decode, a number of no known category or a delay longer than time itself would fail that task, again and again, and
with it the run or the instance. No agent of ours sends details, so none pass; the rest is written anew within bounds.
"""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import ApplicationErrorCategory, TimeoutType
from temporalio.api.failure.v1 import Failure

from gateway.rewriting import Scope

MAX_TEXT = 20_000  # of a message, and of a stack
MAX_NAME = 200
MAX_CAUSES = 8  # one inside the other; what is deeper is left out
MAX_DELAY_SECONDS = 86_400


def plain_failure(_: Scope, request: Any) -> None:
    if request.HasField("failure"):
        request.failure.CopyFrom(_plain(request.failure, MAX_CAUSES))


def _plain(told: Failure, causes: int) -> Failure:
    """The failure in words. Of a kind that no activity has, as one of a child workflow, the words alone."""
    kept = Failure(
        message=told.message[:MAX_TEXT], source=told.source[:MAX_NAME], stack_trace=told.stack_trace[:MAX_TEXT]
    )
    kind = told.WhichOneof("failure_info")
    if kind == "application_failure_info":
        _keep_application(told, kept)
    elif kind == "timeout_failure_info":
        kept.timeout_failure_info.SetInParent()
        if told.timeout_failure_info.timeout_type in TimeoutType.values():
            kept.timeout_failure_info.timeout_type = told.timeout_failure_info.timeout_type
    elif kind == "server_failure_info":
        kept.server_failure_info.non_retryable = told.server_failure_info.non_retryable
    elif kind == "canceled_failure_info":
        kept.canceled_failure_info.SetInParent()
    if causes and told.HasField("cause"):
        kept.cause.CopyFrom(_plain(told.cause, causes - 1))
    return kept


def _keep_application(told: Failure, kept: Failure) -> None:
    info, own = told.application_failure_info, kept.application_failure_info
    own.type, own.non_retryable = info.type[:MAX_NAME], info.non_retryable
    if info.category in ApplicationErrorCategory.values():
        own.category = info.category
    delay = info.next_retry_delay
    if info.HasField("next_retry_delay") and 0 <= delay.seconds <= MAX_DELAY_SECONDS and 0 <= delay.nanos < 10**9:
        own.next_retry_delay.CopyFrom(delay)
