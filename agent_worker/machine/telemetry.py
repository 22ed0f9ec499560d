"""Samples the machine and its containers, and streams the samples.

Samples matter least of all that is sent: while the server is away or slow, old ones are thinned, and the number of
dropped ones is itself a metric.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from agent_worker.node_link.session import Link
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.metric import CONTAINER_METRICS, NODE_METRICS, ordered
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerUsage
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised

log = get_logger(__name__)

KEPT = 720  # an hour of the node alone at five seconds
BATCH = 200
ENGINE_SECONDS = 3.0  # with a sample and a heartbeat a dead engine is told of within ten


SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 3600.0
Sampler = Callable[[], Awaitable[dict[str, float | None]]]


class Telemetry:
    """``held_bytes`` gives the size of the spool, ``sampler`` the machine's metrics.

    ``vitals`` go with each heartbeat; ``period`` is the seconds between samples, as the server says.
    """

    def __init__(self, engine: ContainerEngine, held_bytes: Callable[[], int], sampler: Sampler) -> None:
        self._engine = engine
        self._held_bytes = held_bytes
        self._sampler = sampler
        self._waiting: deque[pb.Sample] = deque()
        self._more = asyncio.Event()
        self._dropped = 0
        self._docker_error = ""
        self.work_error: Callable[[], str] = lambda: ""
        self._before: dict[str, tuple[float, ContainerUsage]] = {}
        self.period = 5.0
        self.sending = Supervised("the sending of samples")

    def keep_period(self, seconds: float) -> None:
        """As a server says it, within bounds; 0 tells none."""
        if seconds:
            self.period = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)

    def vitals(self) -> Vitals:
        return Vitals(docker_error=self._docker_error, work_error=self.work_error(), spool_bytes=self._held_bytes())

    async def sample_forever(self, link: Link) -> None:
        while True:
            await asyncio.sleep(jittered(self.period))
            await self._sample(link)

    async def _sample(self, link: Link) -> None:
        usages = await self._ask_engine()
        values = await self._sampler()
        values |= {"spool_bytes": self._held_bytes(), "samples_dropped": self._dropped}
        at_ms = link.server_time_ns() // 1_000_000
        self._keep(pb.Sample(at_ms=at_ms, values=ordered(NODE_METRICS, values)))
        now = time.monotonic()
        for usage in usages:
            before = self._before.get(usage.name)
            if before is not None:
                self._keep(_container_sample(at_ms, usage, before[1], now - before[0]))
        self._before = {usage.name: (now, usage) for usage in usages}

    async def _ask_engine(self) -> list[ContainerUsage]:
        """Asks for the containers' use. This also finds a dead engine: it answers within seconds or is unresponsive."""
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                usages = list(await self._engine.usage())
        except TimeoutError:
            self._docker_error = f"Docker Engine did not answer within {ENGINE_SECONDS:.0f} s"
            return []
        except GamekeeperError as error:
            self._docker_error = str(error)
            return []
        self._docker_error = ""
        return usages

    def _keep(self, sample: pb.Sample) -> None:
        self._waiting.append(sample)
        self._more.set()
        if len(self._waiting) > KEPT:
            old = [self._waiting.popleft() for _ in range(KEPT // 2)]
            self._waiting.extendleft(reversed(old[::2]))
            self._dropped += len(old) - len(old[::2])

    async def send_forever(self, link: Link) -> None:
        backoff = Backoff(initial=0.5, maximum=10)
        while True:
            await link.connected.wait()
            await link.stagger()
            try:
                await link.calls.stream_metrics(self._batches(link))
                backoff.reset()
                self.sending.succeeded()
            except UnavailableError as error:
                if link.connected.is_set():
                    self.sending.failed(error)
            await asyncio.sleep(backoff.next_delay())

    async def _batches(self, link: Link) -> AsyncIterator[pb.MetricsBatch]:
        """Yields waiting samples as they come, while the session lasts. A batch that broke off is not sent again."""
        while link.connected.is_set():
            await self._more.wait()
            self._more.clear()
            while self._waiting and link.connected.is_set():
                count = min(BATCH, len(self._waiting))
                yield pb.MetricsBatch(samples=[self._waiting.popleft() for _ in range(count)])


def _container_sample(at_ms: int, now: ContainerUsage, before: ContainerUsage, seconds: float) -> pb.Sample:
    def rate(name: str) -> float:
        used: int = getattr(now, name) - getattr(before, name)
        return max(0.0, used / seconds)

    values = {
        "cpu_percent": rate("cpu_ns") / 1e7,
        "memory_working_set_bytes": now.memory_working_set_bytes,
        "memory_limit_bytes": now.memory_limit_bytes,
        "network_receive_bytes_per_second": rate("network_receive_bytes"),
        "network_send_bytes_per_second": rate("network_send_bytes"),
        "block_read_bytes_per_second": rate("block_read_bytes"),
        "block_write_bytes_per_second": rate("block_write_bytes"),
        "pids": now.pids,
        "oom_events": now.oom_events,
    }
    return pb.Sample(at_ms=at_ms, container=now.name, key=key_to_pb(now.key), values=ordered(CONTAINER_METRICS, values))
