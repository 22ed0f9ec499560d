"""Addresses of servers, and what a server asks of an agent that comes back too soon."""

from __future__ import annotations

import grpc
import pytest

from agent_worker.node_link.dial import addresses
from agent_worker.node_link.session import _retry_after
from gamekeeper.errors import InvalidError


def test_several_servers() -> None:
    assert addresses("a:1") == ["a:1"]
    assert addresses(" a:1, b:2,,") == ["a:1", "b:2"]
    with pytest.raises(InvalidError, match="no server is named"):
        addresses(" , ")


@pytest.mark.parametrize(
    ("told", "seconds"), [("1500", 1.5), ("99999999", 300.0), ("soon", 0.0), ("-5", 0.0), (None, 0.0)]
)
def test_a_server_says_when_to_come_back(told: str | None, seconds: float) -> None:
    trailing = grpc.aio.Metadata(*([("retry-after-ms", told)] if told else []))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing)
    assert _retry_after(error) == seconds
