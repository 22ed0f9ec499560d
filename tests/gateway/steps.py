"""Workflows of the tests of the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

WORKFLOWS = "workflows-of-the-gateway"


@workflow.defn(name="gateway-test-one-step")
class OneStep:
    """One activity of a node, of which there is one attempt."""

    @workflow.run
    async def run(self, node_id: str, beat_seconds: float) -> Any:
        return await workflow.execute_activity(
            "step",
            task_queue=f"node:{node_id}",
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=beat_seconds),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
