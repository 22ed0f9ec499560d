"""Calls that go beside the session: reports, uploads, streams and consoles, each an rpc of its own.

They take their epoch and their connections from the session, so all of them fail while it is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from agent_worker.node_link.dial import CALL_SECONDS, Dial
from gamekeeper.errors import GamekeeperError, LaterError, SecretError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb

T = TypeVar("T")
NO_SECRET = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class LinkCalls:
    """Every method raises UnavailableError while the link is down. None tries again: that is the caller's part.

    The session sets ``dial``, ``epoch`` and ``connected``; the calls only read them.
    """

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.epoch = 0
        self.connected = asyncio.Event()

    @property
    def server(self) -> str:
        return self.dial.address

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The session's epoch: the server refuses calls of an older session."""
        return (("gamekeeper-epoch", str(self.epoch)),)

    async def report_containers(self, request: pb.ReportContainersRequest) -> pb.ReportContainersResponse:
        """Tells which containers are here, and returns what the server decides on each."""
        answer: pb.ReportContainersResponse = await self._call(self.dial.control.ReportContainers, request)
        return answer

    async def report_inventory(self, request: pb.Inventory) -> pb.ReportInventoryResponse:
        """Tells what the machine is made of."""
        answer: pb.ReportInventoryResponse = await self._call(self.dial.control.ReportInventory, request)
        return answer

    async def report_instances(self, request: pb.ReportInstancesRequest) -> pb.ReportInstancesResponse:
        """Tells how the instances are, and returns those that the control plane has deleted."""
        answer: pb.ReportInstancesResponse = await self._call(self.dial.control.ReportInstances, request)
        return answer

    async def give_secrets(self, request: pb.GiveSecretsRequest) -> pb.GiveSecretsResponse:
        """The values of secrets that a container names. Raises also SecretError for one that it can't have."""
        try:
            answer: pb.GiveSecretsResponse = await self._call(self.dial.control.GiveSecrets, request)
        except UnavailableError as error:
            raise _of_secrets(error) from error
        return answer

    async def renew_certificate(self, csr: str) -> pb.RenewCertificateResponse:
        """The node's next certificate, while its present one is good."""
        request = pb.RenewCertificateRequest(csr=csr)
        answer: pb.RenewCertificateResponse = await self._call(self.dial.control.RenewCertificate, request)
        return answer

    async def upload(self, batches: list[bytes]) -> pb.UploadLogsResponse:
        """Sends encoded batches and returns what the server keeps."""

        async def messages() -> AsyncIterator[bytes]:
            for batch in batches:
                yield batch

        answer: pb.UploadLogsResponse = await self._call(self.dial.upload_logs, messages())
        return answer

    async def stream_metrics(self, batches: AsyncIterator[pb.MetricsBatch]) -> None:
        """Sends until the iterator or the session ends; a slow server makes the iterator wait."""
        with _while_open(batches) as sent:
            await self._call(self.dial.bulk.ReportMetrics, sent, timeout=None)

    async def subscribe(self, after_seq: int) -> AsyncIterator[pb.Push]:
        """Yields events of this node after ``after_seq``, and directives, until the session ends."""
        self._check_connected()
        with _translated(self.server), self.dial.in_use():
            async for push in self.dial.control.Subscribe(
                pb.SubscribeRequest(after_seq=after_seq), metadata=self.metadata
            ):
                yield readable(push, self.server)

    async def console(self, outputs: AsyncIterator[pb.ConsoleOutput]) -> AsyncGenerator[pb.ConsoleInput, None]:
        """Sends what a command writes and yields what is typed, until the server ends the console."""
        self._check_connected()
        with _translated(self.server), self.dial.in_use(), _while_open(outputs) as sent:
            async for given in self.dial.bulk.Console(sent, metadata=self.metadata):
                yield readable(given, self.server)

    async def _call(self, method: Any, request: Any, timeout: float | None = CALL_SECONDS) -> Any:
        self._check_connected()
        with _translated(self.server), self.dial.in_use():
            return readable(await method(request, metadata=self.metadata, timeout=timeout), self.server)

    def _check_connected(self) -> None:
        if not self.connected.is_set():
            raise UnavailableError(f"the node link to {self.server} is down")


def readable(message: T | None, server: str) -> T:
    """The message; gRPC gives None for bytes that are none of its kind. Raises UnavailableError for those."""
    if message is None:
        raise UnavailableError(f"{server} sent a message that can't be read; reconnecting")
    return message


@contextmanager
def _while_open(items: AsyncIterator[T]) -> Iterator[AsyncIterator[T]]:
    """The items until the block is left. A call that the server ends leaves the iterator that it sends from waiting for
    its next item, for ever."""
    over = asyncio.Event()
    try:
        yield _until(items, over)
    finally:
        over.set()


async def _until(items: AsyncIterator[T], over: asyncio.Event) -> AsyncIterator[T]:
    ending = asyncio.create_task(over.wait())
    item: asyncio.Future[T] | None = None
    try:
        while True:
            item = asyncio.ensure_future(anext(items))
            await asyncio.wait({item, ending}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return
            try:
                found = item.result()
            except StopAsyncIteration:
                return
            yield found
    finally:
        tasks = [task for task in (ending, item) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _translated:
    """Turns gRPC's errors into ours, in one place."""

    def __init__(self, server: str) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            text = f"{self._server}: {error.details()}"
            wait = _retry_after(error)
            raise (LaterError(text, after_seconds=wait) if wait else UnavailableError(text)) from error
        if isinstance(error, asyncio.CancelledError) and not is_cancelled():
            raise UnavailableError(f"{self._server}: the stream was cut") from error


def _of_secrets(error: UnavailableError) -> GamekeeperError:
    """The server's refusal of a secret is no outage."""
    told = error.__cause__
    if not isinstance(told, grpc.aio.AioRpcError):
        return error
    if told.code() is grpc.StatusCode.UNIMPLEMENTED:
        return SecretError("the control plane gives no secrets", hint="upgrade it: docs/upgrading.md")
    return SecretError(told.details() or "a secret is refused") if told.code() in NO_SECRET else error


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    """The seconds after which the server wants to be asked again; 0 where it says none, or nothing that is one."""
    told = dict(error.trailing_metadata() or ()).get("retry-after-ms", "")
    return int(told) / 1000 if isinstance(told, str) and told.isascii() and told.isdecimal() else 0.0


def is_cancelled() -> bool:
    """True when somebody cancels this task. gRPC also raises CancelledError for a stream whose connection broke."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
