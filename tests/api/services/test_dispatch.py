"""Temporal's answers to the start of a run: what passes is tried again, and what stands ends the run."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from api.services.run.dispatch import RunDispatcher
from gamekeeper.domain.run.run import RunInput
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from tests.factories import make_pipeline


class RefusingClient:
    """A Temporal client of which every start is answered with one error."""

    def __init__(self, status: RPCStatusCode, message: str) -> None:
        self._error = RPCError(message, status, b"")

    async def start_workflow(self, *_: Any, **__: Any) -> None:
        raise self._error


async def indexed() -> bool:
    return True


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (RPCStatusCode.INVALID_ARGUMENT, "Blob data size exceeds limit.", InvalidError),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)", InvalidError),
        (RPCStatusCode.INVALID_ARGUMENT, "no mapping defined for search attribute X", UnavailableError),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded", UnavailableError),
        (RPCStatusCode.UNAVAILABLE, "tcp connect error", UnavailableError),
        (RPCStatusCode.PERMISSION_DENIED, "request unauthorized", UnavailableError),
        (RPCStatusCode.NOT_FOUND, "namespace not found", UnavailableError),
    ],
)
async def test_a_start_that_fails(status: RPCStatusCode, message: str, expected: type[GamekeeperError]) -> None:
    dispatcher = RunDispatcher(cast(Any, RefusingClient(status, message)), indexed)
    with pytest.raises(expected, match="Temporal") as raised:
        await dispatcher.start(RunInput(run_id="r", pipeline=make_pipeline({"name": "a"}), nodes={}))
    assert type(raised.value) is expected
    assert message in raised.value.message
