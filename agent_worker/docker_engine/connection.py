"""The SDK's client of one engine: made before the engine is up, called in threads, its errors as ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from docker.api.client import APIClient

from agent_worker.docker_engine.errors import translated
from agent_worker.docker_engine.http10 import LOGS_URL, UNIX_URL, UnchunkedAdapter
from agent_worker.docker_engine.late_client import LateClient

P = ParamSpec("P")
T = TypeVar("T")

CALL_TIMEOUT_SECONDS = 60
SHORT_CALLS = 16
WAITS = 1000
ASIDE = 2
STREAMS = 200


class EngineConnection:
    """Short calls and those that last as long as a container have threads of their own."""

    def __init__(self, base_url: str | None = None) -> None:
        self.address = base_url or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self.waits = ThreadPoolExecutor(WAITS, "docker-wait")
        self._short = ThreadPoolExecutor(SHORT_CALLS, "docker")
        self._aside = ThreadPoolExecutor(ASIDE, "docker-aside")
        self._streams = ThreadPoolExecutor(STREAMS, "docker-project-events")
        self._connected: APIClient | None = None

    @property
    def api(self) -> APIClient:
        """The SDK's client. To have it asks the engine nothing, so that the event loop may; each of its calls does."""
        if self._connected is None:
            self._connected = self.connect()
        return self._connected

    def connect(self) -> APIClient:
        """A client of its own."""
        with translated(self.address):
            client = LateClient(self.address, timeout=CALL_TIMEOUT_SECONDS, max_pool_size=SHORT_CALLS)
        if client.base_url.startswith(UNIX_URL):
            client.mount(LOGS_URL, UnchunkedAdapter(self.address.replace("unix://", "http+unix://")))
        return client

    def close(self) -> None:
        """Lets go of the engine's sockets and threads."""
        if self._connected is not None:
            self._connected.close()
        self._short.shutdown(wait=False)
        self._aside.shutdown(wait=False)
        self._streams.shutdown(wait=False)
        self.waits.shutdown(wait=False)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._short, function, *args, **kwargs)

    async def call_aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A short call for containers, any number of which may ask: they wait for one another, and hold up no other."""
        return await self._run(self._aside, function, *args, **kwargs)

    async def call_stream(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that lasts for as long as a container likes, so that it takes no place of those that work needs."""
        return await self._run(self._streams, function, *args, **kwargs)

    async def call_long(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that a container's own time decides, so that it takes no place of the short ones."""
        return await self._run(self.waits, function, *args, **kwargs)

    async def _run(self, threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with translated(self.address):
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(threads, run)
