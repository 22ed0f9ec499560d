"""A refusal is told once for a node and a reason, and counted each time."""

from __future__ import annotations

import pytest

from gateway import telling
from gateway.refusal import STATUS, Reason, Refusal
from gateway.telling import AGAIN_SECONDS, KEPT, Telling

METHOD = "/temporal.api.workflowservice.v1.WorkflowService/ListWorkflowExecutions"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refuse(told: Telling, node_id: str = "edge-1", reason: Reason = Reason.QUEUE) -> None:
    told.refusal(node_id, METHOD, Refusal(reason, "not yours"))


def test_once_a_node_and_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    told = Telling(lambda: 3, clock)
    for _ in range(50):
        refuse(told)
        refuse(told, "edge-2")
        refuse(told, reason=Reason.RATE)
    assert caplog.messages == [
        "refused ListWorkflowExecutions of node edge-1 (queue): not yours",
        "refused ListWorkflowExecutions of node edge-2 (queue): not yours",
        "refused ListWorkflowExecutions of node edge-1 (rate): not yours",
    ]
    clock.now += AGAIN_SECONDS
    refuse(told)
    assert len(caplog.messages) == 4
    assert told.registry.get_sample_value("gamekeeper_gateway_refused_total", {"reason": "queue"}) == 101
    assert told.registry.get_sample_value("gamekeeper_gateway_open_polls") == 3


def test_what_it_remembers_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", telling.__name__)
    told = Telling(lambda: 0, Clock())
    for number in range(KEPT + 50):
        refuse(told, f"edge-{number}")
    assert len(told._told) == KEPT


def test_every_reason_has_a_status() -> None:
    assert set(STATUS) == set(Reason)
