"""Noise for an agent: a control plane that answers every call of ``proto/`` with messages of its descriptors, sound in
form and spoiled, and ends streams as it likes.

The agent is a real one, with an engine that runs nothing. It has to live through all of that, log no unforeseen error,
keep its own certificate, and be back as soon as the control plane is itself again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from agent_worker.bootstrap import Agent, build
from agent_worker.node_link import membership, session, subscription
from agent_worker.node_link.membership import Joining, Membership
from agent_worker.node_link.servers import parse_servers
from agent_worker.settings import AgentSettings
from api.grpc.server import SERVICE
from fuzz.messages import Spoiler
from fuzz.noise import Noise, watched_log
from gamekeeper.backoff import Backoff
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.certificates import TestAuthority, shared_own_key
from tests.hang import HANG_SECONDS

METHODS: dict[str, MethodDescriptor] = {
    f"/{SERVICE}/{method.name}": method for method in pb.DESCRIPTOR.services_by_name["NodeLink"].methods
}
SOON = 0.05
ENDS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED)
TRAILERS = ("", "-1", "x", "9" * 30, "1e9", "0")
Context = grpc.aio.ServicerContext[bytes, bytes]


class NoisyServer(grpc.GenericRpcHandler):
    """The node link as bytes. ``is_itself`` once the noise is over: then it welcomes, and acknowledges every beat."""

    def __init__(self, seed: int, count: int, noise: Noise) -> None:
        self._random = Random(seed)
        self._spoiler = Spoiler(self._random)
        self._count, self._noise = count, noise
        self.is_itself = False
        self.enough = asyncio.Event()
        self.back = asyncio.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = METHODS.get(handler_call_details.method)
        if method is None:
            return None
        answer = self._stream(method) if method.server_streaming else self._unary(method)
        shape = f"{_word(method.client_streaming)}_{_word(method.server_streaming)}_rpc_method_handler"
        made: grpc.RpcMethodHandler[Any, Any] = getattr(grpc, shape)(answer)
        return made

    def _unary(self, method: MethodDescriptor) -> Any:
        async def answer(given: Any, context: Context) -> bytes:
            if method.client_streaming:
                async for _ in given:
                    if self._random.random() < 0.2:
                        break
            return await self._message(method, context)

        return answer

    def _stream(self, method: MethodDescriptor) -> Any:
        async def answer(given: Any, context: Context) -> AsyncIterator[bytes]:
            if method.name == "Session":
                async for message in self._session(given, context):
                    yield message
                return
            for _ in range(self._random.randint(0, 20)):
                yield await self._message(method, context)
            if self.is_itself:
                await asyncio.Event().wait()

        return answer

    async def _session(self, given: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for raw in given:
            told = pb.AgentMessage.FromString(raw)
            if self.is_itself:
                yield self._sound_answer(told)
                continue
            if told.WhichOneof("body") == "hello" and self._random.random() < 0.8:
                yield self._welcome()
            for _ in range(self._random.randint(0, 5)):
                yield await self._message(METHODS[f"/{SERVICE}/Session"], context)
            if self._random.random() < 0.3:
                return

    def _sound_answer(self, told: pb.AgentMessage) -> bytes:
        """The agent is back once it has told some beats."""
        if told.WhichOneof("body") == "hello":
            return pb.ServerMessage(welcome=sound_welcome()).SerializeToString()
        if told.heartbeat.seq >= 3:
            self.back.set()
        ack = pb.HeartbeatAck(seq=told.heartbeat.seq, lease_ms=5000, heartbeat_ms=100)
        return pb.ServerMessage(heartbeat_ack=ack).SerializeToString()

    def _welcome(self) -> bytes:
        """An odd one that can be read, or else most sessions would end before they begin."""
        welcome = self._spoiler.filled(pb.Welcome.DESCRIPTOR)
        if self._random.random() < 0.7:
            welcome.MergeFrom(sound_welcome())
        self._noise.messages += 1
        return pb.ServerMessage(welcome=welcome).SerializeToString()

    async def _message(self, method: MethodDescriptor, context: Context) -> bytes:
        """The next piece of noise, or a refusal. A control plane that is itself again answers with nothing new."""
        if self.is_itself:
            return b""
        self._noise.messages += 1
        self._noise.count(method.name)
        if self._noise.messages >= self._count:
            self.enough.set()
        if self._random.random() < 0.05:
            trailers = (("retry-after-ms", self._random.choice(TRAILERS)),) if self._random.random() < 0.5 else ()
            await context.abort(self._random.choice(ENDS), "noise", trailers)
        return self._spoiler.message(method.output_type, is_sound=self._random.random() < 0.7)


def _word(is_stream: bool) -> str:
    return "stream" if is_stream else "unary"


def sound_welcome() -> pb.Welcome:
    return pb.Welcome(node_id="node-1", epoch=7, heartbeat_ms=100, lease_ms=5000, metrics_ms=1000)


@contextmanager
def _soon() -> Iterator[None]:
    """An agent that is refused comes back at once, or most of the time would be spent in waiting."""

    def made(*_: Any, **__: Any) -> Backoff:
        return Backoff(initial=SOON, maximum=SOON)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("MAXIMUM_SECONDS", "SOON_SECONDS"):
            patch.setattr(session, name, SOON)
        patch.setattr(session, "LONGEST_PERIOD_MS", 100)
        patch.setattr(session, "WELCOME_SECONDS", 0.5)
        patch.setattr(session, "LONGEST_LEASE_MS", 1000)
        patch.setattr(subscription, "Backoff", made)
        patch.setattr(membership, "Backoff", made)
        yield


@asynccontextmanager
async def _agent(folder: Path, authority: TestAuthority, port: int) -> AsyncIterator[tuple[Agent, list[Any]]]:
    settings = AgentSettings(server="127.0.0.1", state_dir=folder / "agent", engine="dummy")
    settings.state_dir.mkdir()
    joined = Membership(Joining(parse_servers(settings.server), shared_own_key), authority.identity(port))
    agent = build(settings, joined, NodePolicy(), lambda welcome: None)
    tasks = [asyncio.create_task(part) for part in agent.work()]
    try:
        yield agent, tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await agent.follower.close()
        await agent.link.close()


async def make_noise(count: int, seed: int) -> Noise:
    """``count`` messages to one agent, which is then to be back by itself."""
    noise = Noise()
    with tempfile.TemporaryDirectory(prefix="gk-fuzz-", ignore_cleanup_errors=True) as name:
        authority = TestAuthority(Path(name) / "ca")
        noisy = NoisyServer(seed, count, noise)
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers([noisy])
        port = server.add_secure_port("127.0.0.1:0", authority.server_credentials())
        await server.start()
        try:
            with _soon():
                async with watched_log(noise, foreign="grpc"), _agent(Path(name), authority, port) as (agent, tasks):
                    await _live(noisy, agent, tasks)
        finally:
            await server.stop(0)
    return noise


async def _live(noisy: NoisyServer, agent: Agent, tasks: list[Any]) -> None:
    noise, shown = noisy._noise, agent.membership.identity.credentials
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_SECONDS + noisy._count * SOON):
            await noisy.enough.wait()
    if not noisy.enough.is_set():
        noise.faults.append(f"the agent went silent after {noise.messages} messages")
    noisy.is_itself = True
    try:
        async with asyncio.timeout(HANG_SECONDS):
            await noisy.back.wait()
    except TimeoutError:
        noise.faults.append("the agent is not back after the noise")
    noise.faults += [f"a part of the agent ended: {task!r}" for task in tasks if task.done()]
    if agent.membership.identity.credentials != shown:
        noise.faults.append("the agent took a certificate that is none")
