"""Noise on the node link: random and spoiled messages on every call of ``proto/``, with a node's own certificate.

Allowed are answers that say whose fault it was. UNKNOWN, INTERNAL and the words of an unexpected error are faults, and
so is another node's session that did not stand, or an api that wrote an error into its log.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import grpc

from agent_worker.identity import Credentials
from agent_worker.node_link.dial import _OPTIONS
from api.grpc.server import SERVICE
from fuzz.messages import Spoiler
from fuzz.noise import Noise, watched_log
from fuzz.target import target
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent
from tests.hang import HANG_SECONDS

METHODS = pb.DESCRIPTOR.services_by_name["NodeLink"].methods
AT_ONCE = 4
ANSWER_SECONDS = 0.3  # for a call that goes on by itself, as one that subscribes
IN_ONE_STREAM = 200  # messages
SOUND_STREAMS = 0.7  # in form, or the first spoiled message would keep most from being read
FAULTS = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)
UNEXPECTED = "an unexpected error"


class Noisy:
    """One node that sends noise; its messages and their order come of the seed."""

    def __init__(self, agent: RawAgent, channel: grpc.Channel, seed: str, noise: Noise) -> None:
        self._agent = agent
        self._channel = channel
        self._random = Random(seed)
        self._spoiler = Spoiler(self._random)
        self._seed, self._noise, self._call = seed, noise, 0
        self.sent = 0

    async def call(self, at_most: int) -> None:
        """One call, of which nothing but its status is looked at."""
        method = self._random.choice(METHODS)
        count = self._random.randint(1, min(IN_ONE_STREAM, at_most)) if method.client_streaming else 1
        is_sound = self._random.random() < SOUND_STREAMS
        messages = [self._spoiler.message(method.input_type, is_sound=is_sound) for _ in range(count)]
        if method.name == "Session" and self._random.random() < 0.8:
            messages[0] = self._spoiler.hello()
        self._call += 1
        self._noise.messages += len(messages)
        self.sent += len(messages)
        code, details = await asyncio.to_thread(self._answer, method, messages)
        self._noise.count(code.name)
        if code in FAULTS or UNEXPECTED in details:
            told = [message.hex()[:400] for message in messages[:3]]
            self._noise.faults.append(
                f"{method.name} answers {code.name}: {details[:200]} (call {self._call} of seed {self._seed}: {told})"
            )

    def _answer(self, method: Any, messages: list[bytes]) -> tuple[grpc.StatusCode, str]:
        shape = ("stream" if method.client_streaming else "unary") + (
            "_stream" if method.server_streaming else "_unary"
        )
        ask = getattr(self._channel, shape)(f"/{SERVICE}/{method.name}")
        sent = iter(messages) if method.client_streaming else messages[0]
        try:
            if method.server_streaming:
                for _ in ask(sent, metadata=self._metadata(), timeout=ANSWER_SECONDS):
                    pass
            else:
                ask(sent, metadata=self._metadata(), timeout=HANG_SECONDS)
        except grpc.RpcError as error:
            told: Any = error
            return told.code(), str(told.details())
        return grpc.StatusCode.OK, ""

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        epoch = (
            str(self._agent.epoch) if self._random.random() < 0.9 else self._random.choice(["", "-1", "x", "9" * 30])
        )
        return (("gamekeeper-epoch", epoch),)


async def make_noise(count: int, seed: int, kind: str = "sqlite") -> Noise:
    """``count`` messages from as many nodes as call at once, beside one that does nothing wrong."""
    noise = Noise()
    async with target(kind) as api, watched_log(noise):
        quiet = await _joined(api, "quiet")
        session = await quiet.hello(instance="quiet")
        beating = api.background(_beat(session))
        await asyncio.gather(*(_one(api, number, max(1, count // AT_ONCE), seed, noise) for number in range(AT_ONCE)))
        if beating.done() or (await api.http.get("/nodes/quiet")).json()["status"] != "online":
            noise.faults.append("the session of a node that did nothing wrong has ended")
        session.cancel()
        await quiet.dial.close()
    return noise


async def _one(api: ApiUnderTest, number: int, count: int, seed: int, noise: Noise) -> None:
    agent = await _joined(api, f"noisy-{number}")
    channel = _channel(api.link_address, agent.identity.good_credentials)
    noisy, session = Noisy(agent, channel, f"{seed}-{number}", noise), None
    while noisy.sent < count and not noise.is_enough:
        if session is None or session.done():
            session = await _session(agent)
        await noisy.call(count - noisy.sent)
    channel.close()
    await agent.dial.close()


def _channel(address: str, credentials: Credentials) -> grpc.Channel:
    """Not asyncio's: whose calls, refused while they still send, end with an INTERNAL that no server has sent."""
    own = grpc.ssl_channel_credentials(credentials.roots.encode(), credentials.key.encode(), credentials.chain.encode())
    return grpc.secure_channel(address, own, options=_OPTIONS)


async def _session(agent: RawAgent) -> Any:
    """The session within which the noise is made; None while the node's own noise holds it."""
    try:
        return await agent.hello(instance="noise")
    except grpc.aio.AioRpcError:
        return None


async def _joined(api: ApiUnderTest, node: str) -> RawAgent:
    await api.add_node(node)
    return RawAgent(api, await api.enrol(node))


async def _beat(session: Any) -> None:
    while True:
        await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1)))
        await session.read()
        await asyncio.sleep(0.2)
