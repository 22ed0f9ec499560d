"""A frontend that learns of a new namespace late, as each of a cluster's does: calls fail for a while after the answer
that it is registered."""

from __future__ import annotations

import grpc
import pytest

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.temporal.client import connect
from gamekeeper.temporal.namespace import ensure_namespace, wait_for_namespace
from tests.fakes.temporal_frontend import Context, FakeTemporal


class Late(FakeTemporal):
    """Knows no namespace until one is registered, and its task queues only after ``lag`` more calls."""

    def __init__(self, lag: int) -> None:
        super().__init__()
        self.lag = lag
        self.is_registered = False
        self.status = grpc.StatusCode.OK  # of a registration
        self.answer = self._answer

    @property
    def asked(self) -> list[str]:
        return [path.rpartition("/")[2] for path, *_ in self.seen if not path.endswith("GetSystemInfo")]

    async def _answer(self, context: Context) -> bytes:
        method = self.seen[-1][0].rpartition("/")[2]
        if method == "DescribeNamespace" and not self.is_registered:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Namespace default is not found.")
        if method == "RegisterNamespace":
            self.is_registered = True
            if self.status is not grpc.StatusCode.OK:
                await context.abort(self.status, "no")
        if method == "DescribeTaskQueue":
            self.lag -= 1
            if self.lag >= 0 or not self.is_registered:
                await context.abort(grpc.StatusCode.NOT_FOUND, "Namespace default is not found.")
        return b""


@pytest.mark.parametrize("status", [grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS], ids=["made", "made meanwhile"])
async def test_it_is_waited_for_until_calls_pass(status: grpc.StatusCode) -> None:
    temporal = Late(lag=3)
    temporal.status = status
    async with temporal.serving() as address:
        await ensure_namespace(await connect(address), 7)
    assert temporal.asked == ["DescribeNamespace", "RegisterNamespace", *["DescribeTaskQueue"] * 4]


async def test_one_that_never_comes_is_not_waited_for_without_end() -> None:
    temporal = Late(lag=10_000)
    async with temporal.serving() as address:
        with pytest.raises(UnavailableError, match="Temporal has no namespace default; the api makes it"):
            await wait_for_namespace(await connect(address), seconds=0.3)


async def test_a_name_that_temporal_does_not_take() -> None:
    temporal = Late(lag=0)
    temporal.status = grpc.StatusCode.INVALID_ARGUMENT
    async with temporal.serving() as address:
        with pytest.raises(InvalidError, match='takes no namespace "default": no; check TEMPORAL_NAMESPACE'):
            await ensure_namespace(await connect(address), 7)


@pytest.mark.parametrize("status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED])
async def test_without_the_right_to_make_it_nobody_waits(status: grpc.StatusCode) -> None:
    temporal = Late(lag=0)
    temporal.status = status
    async with temporal.serving() as address:
        with pytest.raises(InvalidError, match=f"temporal operator namespace create --address {address} --namespace "):
            await ensure_namespace(await connect(address), 7)
    assert temporal.asked == ["DescribeNamespace", "RegisterNamespace"]
