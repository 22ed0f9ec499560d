"""The agent's side of the node link: one session with heartbeats and phases, reconnected for ever.

It carries presence and streams only. When it is down the agent's work goes on, and what is to be told waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from agent_worker.identity import Identity
from gamekeeper import __version__
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.domain.node import NodeFacts
from gamekeeper.domain.policy import NodePolicy
from gamekeeper.domain.step import StepKey, StepState
from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.rpc.convert import facts_to_pb, key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from gamekeeper.rpc.version import PROTOCOL_VERSION

log = get_logger(__name__)

CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Introduction:
    """What the agent says of itself at the beginning of each session."""

    facts: Callable[[], Awaitable[NodeFacts]]
    policy: NodePolicy


async def register(server: str, token: str) -> Identity:
    """Trades an enrolment token for a node key; waits for a server that is not there yet.

    Raises UnauthenticatedError for a token that is not good, and for a protocol that differs.
    """
    backoff = Backoff()
    async with grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS) as channel:
        while True:
            try:
                answer: pb.RegisterResponse = await pb_grpc.NodeLinkStub(channel).Register(
                    pb.RegisterRequest(protocol_version=PROTOCOL_VERSION, token=token), timeout=CALL_SECONDS
                )
                return Identity(node_id=answer.node_id, node_key=answer.node_key)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise UnauthenticatedError(f"{server} refused the registration: {error.details()}") from error
                log.warning("%s does not answer yet: %s", server, error.details())
                await asyncio.sleep(backoff.next_delay())


class Link:
    """``welcomed`` is called with each Welcome. Phases satisfy the activities' ``Phases`` port."""

    def __init__(
        self,
        server: str,
        identity: Identity,
        introduction: Introduction,
        welcomed: Callable[[pb.Welcome], None],
    ) -> None:
        self._server = server
        self._identity = identity
        self._introduction = introduction
        self._welcomed = welcomed
        self._channel = grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS)
        self._stub = pb_grpc.NodeLinkStub(self._channel)
        self._outbox: asyncio.Queue[pb.AgentMessage] = asyncio.Queue()
        self._phases: dict[StepKey, pb.StepPhase] = {}
        self._epoch = 0
        self.connected = asyncio.Event()

    def report(self, key: StepKey, phase: StepState, message: str = "", container_id: str = "") -> None:
        told = pb.StepPhase(key=key_to_pb(key), phase=phase.value, message=message[:500], container_id=container_id)
        self._phases[key] = told
        if self.connected.is_set():
            self._outbox.put_nowait(pb.AgentMessage(step_phase=told))

    def forget(self, key: StepKey) -> None:
        self._phases.pop(key, None)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (
            ("authorization", f"Bearer {self._identity.node_key}"),
            ("gamekeeper-epoch", str(self._epoch)),
        )

    async def report_containers(self, request: pb.ReportContainersRequest) -> pb.ReportContainersResponse:
        """Raises UnavailableError while the link is down."""
        await self._check_connected()
        with _translated(self._server):
            answer: pb.ReportContainersResponse = await self._stub.ReportContainers(
                request, metadata=self.metadata, timeout=CALL_SECONDS
            )
        return answer

    async def upload(self, batches: list[bytes]) -> pb.UploadLogsResponse:
        """Sends encoded batches and returns what the server keeps. Raises UnavailableError while the link is down."""
        await self._check_connected()

        async def messages() -> AsyncIterator[pb.LogBatch]:
            for batch in batches:
                yield pb.LogBatch.FromString(batch)

        with _translated(self._server):
            answer: pb.UploadLogsResponse = await self._stub.UploadLogs(
                messages(), metadata=self.metadata, timeout=CALL_SECONDS
            )
        return answer

    async def _check_connected(self) -> None:
        if not self.connected.is_set():
            raise UnavailableError(f"the node link to {self._server} is down")

    async def run_forever(self) -> None:
        """Holds a session; ends only when cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self._session(backoff)
            except grpc.aio.AioRpcError as error:
                self._log_loss(error)
                if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION):
                    backoff.failures = max(backoff.failures, 8)  # not a passing trouble: ask seldom
            except GamekeeperError as error:
                log.warning("%s", error)
            finally:
                self.connected.clear()
            await asyncio.sleep(backoff.next_delay())

    def _log_loss(self, error: grpc.aio.AioRpcError) -> None:
        """Told when a working link breaks and when the reason is not a passing one; silent while it retries."""
        if self.connected.is_set() or error.code() is not grpc.StatusCode.UNAVAILABLE:
            log.warning("node link to %s: %s", self._server, error.details())

    async def _session(self, backoff: Backoff) -> None:
        call = self._stub.Session(metadata=self.metadata)
        facts = await self._introduction.facts()
        await call.write(pb.AgentMessage(hello=self._hello(facts)))
        first: Any = await call.read()
        if first is grpc.aio.EOF or first.WhichOneof("body") != "welcome":
            await call.code()  # raises nothing; the status below says why
            raise UnavailableError(f"{self._server} did not welcome us: {await call.details()}")
        welcome = first.welcome
        self._epoch = welcome.epoch
        self._outbox = asyncio.Queue()
        for phase in self._phases.values():
            self._outbox.put_nowait(pb.AgentMessage(step_phase=phase))
        self.connected.set()
        self._welcomed(welcome)
        backoff.reset()
        log.info("node link to %s is up as node %s, epoch %d", self._server, welcome.node_id, welcome.epoch)
        await self._talk(call, welcome)

    def _hello(self, facts: NodeFacts) -> pb.Hello:
        return pb.Hello(
            protocol_version=PROTOCOL_VERSION,
            agent_version=__version__,
            facts=facts_to_pb(facts),
            policy_json=self._introduction.policy.model_dump_json(),
        )

    async def _talk(self, call: Any, welcome: pb.Welcome) -> None:
        """Until the session ends: beats and phases out, acknowledgements in. Silence for a lease ends it."""
        writing = asyncio.create_task(self._write(call, welcome.heartbeat_ms / 1000))
        try:
            while True:
                answer = await asyncio.wait_for(call.read(), welcome.lease_ms / 1000)
                if answer is grpc.aio.EOF:
                    log.info("%s ended the session: %s", self._server, await call.details())
                    return
        except TimeoutError as error:
            raise UnavailableError(f"{self._server} was silent for {welcome.lease_ms} ms; reconnecting") from error
        finally:
            writing.cancel()
            call.cancel()

    async def _write(self, call: Any, period: float) -> None:
        seq = 0
        loop = asyncio.get_running_loop()
        next_beat = loop.time()
        while True:
            try:
                message = await asyncio.wait_for(self._outbox.get(), max(0.0, next_beat - loop.time()))
            except TimeoutError:
                seq += 1
                message = pb.AgentMessage(heartbeat=pb.Heartbeat(seq=seq))
                next_beat = loop.time() + jittered(period)
            await call.write(message)

    async def close(self) -> None:
        await self._channel.close()


class _translated:
    """gRPC's errors as ours, once."""

    def __init__(self, server: str) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            raise UnavailableError(f"{self._server}: {error.details()}") from error
