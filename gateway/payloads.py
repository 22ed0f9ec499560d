"""Payloads on their way through the gateway: agents get them open and answer openly, Temporal has them encrypted alone.

So no node has a key of the fleet, and one that was taken over reads what was given to it and nothing of others. A
result is encrypted under the name of the node that sent it: the control worker takes it for no other's.
"""

from __future__ import annotations

import json
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import RespondActivityTaskFailedRequest

from gamekeeper.errors import GamekeeperError
from gamekeeper.payload_keys.live import GivenUpKeyError
from gamekeeper.temporal.sealed_payloads import GIVEN_UP, MAX_OVERHEAD, PayloadSeals
from gateway.rewriting import Scope

AGAIN_SECONDS = 10  # a key may be restored; the task is given back and handed out anew
WORDS = "Encoded failure"  # as the SDKs write it, whose readers take the words from the encoded part
UNREADABLE = "PayloadUnreadable"


class UnreadableTaskError(Exception):
    """An activity task whose input can't be decrypted now. It must not be lost: ``token`` is Temporal's own."""

    def __init__(self, token: bytes, error: GamekeeperError) -> None:
        super().__init__(str(error))
        self.token = token
        self.error = error

    def answer(self, namespace: str) -> bytes:
        """The word to Temporal instead of the node's: try again later, or never."""
        failure = Failure(message=f"the gateway can't read what this step was given: {self.error}", source="gateway")
        info = failure.application_failure_info
        info.type, info.non_retryable = UNREADABLE, False
        info.next_retry_delay.seconds = AGAIN_SECONDS
        if isinstance(self.error, GivenUpKeyError):
            info.type, info.non_retryable = GIVEN_UP, True
        request = RespondActivityTaskFailedRequest(
            task_token=self.token, namespace=namespace, identity="gateway", failure=failure
        )
        return request.SerializeToString()


def open_input(scope: Scope, answer: Any) -> None:
    """Before the token is wrapped. Raises UnreadableTaskError."""
    if not answer.task_token:
        return
    workflow_id = answer.workflow_execution.workflow_id
    try:
        opened = [scope.payloads.opened(each, "", workflow_id) for each in answer.input.payloads]
    except GamekeeperError as error:
        raise UnreadableTaskError(answer.task_token, error) from error
    _replace(answer.input, opened)
    answer.ClearField("heartbeat_details")  # no agent behind a gateway leaves any


def seal_result(scope: Scope, request: Any) -> None:
    if request.HasField("result"):
        _replace(
            request.result, [scope.payloads.sealed(each, scope.caller.node_id) for each in request.result.payloads]
        )


def seal_failure(scope: Scope, request: Any) -> None:
    """Words and stacks of a failure, and of those behind it. Its kind stays readable: Temporal decides by it."""
    if request.HasField("failure"):
        _seal(scope.payloads, request.failure, scope.caller.node_id)


def leave_room(_: Scope, answer: Any) -> None:
    """An agent measures its results by the namespace's limit, and they grow here."""
    limits = answer.namespace_info.limits
    if limits.blob_size_limit_error > MAX_OVERHEAD:
        limits.blob_size_limit_error -= MAX_OVERHEAD


def _seal(seals: PayloadSeals, failure: Failure, node: str) -> None:
    words = json.dumps({"message": failure.message, "stack_trace": failure.stack_trace}).encode()
    payload = Payload(metadata={"encoding": b"json/plain"}, data=words)
    sealed = seals.sealed(payload, node)
    if sealed is payload:
        return  # nothing is encrypted yet
    failure.encoded_attributes.CopyFrom(sealed)
    failure.message, failure.stack_trace = WORDS, ""
    if failure.HasField("cause"):
        _seal(seals, failure.cause, node)


def _replace(payloads: Payloads, changed: list[Payload]) -> None:
    del payloads.payloads[:]
    payloads.payloads.extend(changed)
