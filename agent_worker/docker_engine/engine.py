"""The ContainerEngine adapter: the SDK's calls in threads, Docker's errors translated, its states read back."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from docker.api.client import APIClient
from docker.errors import APIError, DockerException
from urllib3.exceptions import HTTPError

from agent_worker.docker_engine import outputs
from agent_worker.docker_engine.console import DockerConsole, open_console
from agent_worker.docker_engine.convert import (
    LABEL,
    Made,
    create_config,
    info_from_inspect,
    made_from_inspect,
    parse_time,
    usage_from_stats,
)
from agent_worker.docker_engine.ended_console import look_in, sweep
from agent_worker.docker_engine.errors import GoneError, explain, fault, translated
from agent_worker.docker_engine.exits import CleanExit, ExitWatch
from agent_worker.docker_engine.http10 import LOGS_URL, UNIX_URL, UnchunkedAdapter
from agent_worker.docker_engine.log_stream import LogPump, closed_if_unused
from agent_worker.docker_engine.pull import ImagePuller
from agent_worker.docker_engine.run_resources import RunResources
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import GamekeeperError, ImageError, UnavailableError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    ContainerUsage,
    EngineFaultError,
    NameTakenError,
    NewContainer,
    Progress,
    StartError,
)

P = ParamSpec("P")
T = TypeVar("T")

CALL_TIMEOUT_SECONDS = 60
EVENT_SECONDS = 5.0
SHORT_CALLS = 16
WAITS = 1000
COMMAND_CODES = (126, 127)  # found but not to be executed, and not found: as a shell says it
NEWLINES_KEPT = (1, 42)  # the API of Docker 23.0


class DockerEngine:
    """``node`` labels what this engine makes, and is the only thing it lists."""

    def __init__(self, node: str, base_url: str | None = None) -> None:
        self._node = node
        self._socket = base_url or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._connected: APIClient | None = None
        self._puller = ImagePuller(self._connect, self._socket)
        self._short = ThreadPoolExecutor(SHORT_CALLS, "docker")
        self._waits = ThreadPoolExecutor(WAITS, "docker-wait")
        self._made: dict[str, Made] = {}
        self._ended: dict[str, ContainerInfo] = {}
        self._watch = ExitWatch(self._connect, self._socket, f"{LABEL}node={node}")
        self._resources = RunResources(node, lambda: self._api, self._call)

    @property
    def _api(self) -> APIClient:
        """The SDK's client, made at the first use that finds the engine up: only then its API version is known."""
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> APIClient:
        with translated(self._socket):
            client = APIClient(
                base_url=self._socket, version="auto", timeout=CALL_TIMEOUT_SECONDS, max_pool_size=SHORT_CALLS
            )
        if client.base_url.startswith(UNIX_URL):
            client.mount(LOGS_URL, UnchunkedAdapter(self._socket.replace("unix://", "http+unix://")))
        return client

    def close(self) -> None:
        """Lets go of the engine's sockets and threads."""
        self._watch.close()
        if self._connected is not None:
            self._connected.close()
        self._short.shutdown(wait=False)
        self._waits.shutdown(wait=False)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with translated(self._socket):
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._short, run)

    async def ping(self) -> None:
        await self._call(self._api.ping)

    async def version(self) -> dict[str, str]:
        info = await self._call(self._api.info)
        parts = (await self._call(self._api.version)).get("Components") or []
        versions = {str(part.get("Name")): str(part.get("Version", "")) for part in parts}
        return {
            "version": str(info.get("ServerVersion", "")),
            "storage_driver": str(info.get("Driver", "")),
            "containerd": versions.get("containerd", ""),
            "runc": versions.get("runc", ""),
        }

    async def has_image(self, image: str) -> bool:
        try:
            await self._call(self._api.inspect_image, image)
        except (ImageError, GoneError):
            return False
        return True

    async def pull(self, image: str, progress: Progress, idle_timeout: float) -> None:
        await self._puller.pull(image, progress, idle_timeout)

    async def create(self, new: NewContainer) -> str:
        self._watch.ensure_started()
        try:
            made = await self._call(self._create, create_config(new), new.owner.key.container_name)
        except GoneError as error:
            self._resources.forget()
            raise fault(str(error)) from error
        self._made[made.info.id] = made
        return made.info.id

    def _create(self, config: dict[str, Any], name: str) -> Made:
        try:
            created = self._api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
            return self._look(str(created["Id"]))
        except APIError as error:
            if error.status_code == 409 and "already in use" in explain(error):
                raise NameTakenError(name) from error
            raise

    def _look(self, container_id: str) -> Made:
        return made_from_inspect(self._api.inspect_container(container_id))

    async def prepare_outputs(self, container_id: str) -> None:
        await self._call(outputs.put_empty, self._api, container_id)

    async def read_outputs(self, container_id: str) -> bytes:
        return await self._call(outputs.read, self._api, container_id)

    async def start(self, container_id: str) -> None:
        try:
            await self._call(self._start, container_id)
        except EngineFaultError:
            self._resources.forget()  # a network that is gone may be why: it is made again
            raise

    def _start(self, container_id: str) -> None:
        try:
            self._api.start(container_id)
        except APIError as error:
            state = self._api.inspect_container(container_id)["State"]
            if state["ExitCode"] in COMMAND_CODES:
                raise StartError(explain(error)) from error
            if parse_time(state["StartedAt"]) is None:
                raise fault(explain(error)) from error

    async def wait(self, container_id: str) -> None:
        def run() -> None:
            with suppress(GoneError), translated(self._socket):
                self._api.wait(container_id, timeout=None)

        answer = asyncio.get_running_loop().run_in_executor(self._waits, run)
        await self._unless_ended_well(container_id, answer)

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        if name_or_id in self._ended:
            return self._ended[name_or_id]
        answer = asyncio.ensure_future(self._inspect(name_or_id))
        return await self._unless_ended_well(name_or_id, answer) or self._ended.get(name_or_id)

    async def _unless_ended_well(self, container_id: str, answer: asyncio.Future[T]) -> T | None:
        """The engine's answer, or None when the container's clean end, now in ``_ended``, was heard of before it."""
        clean = self._watch.expect(container_id)
        try:
            first: set[asyncio.Future[Any]] = {answer, clean}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and self._learn(container_id, clean.result()):
                answer.add_done_callback(lambda done: done.cancelled() or done.exception())
                return None
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            raise
        finally:
            clean.cancel()

    def _learn(self, container_id: str, end: CleanExit) -> bool:
        """Notes a clean end before the engine's state tells it; False when that has to be waited for."""
        made = self._made.get(container_id)
        if made is not None and not made.publishes:
            info = made.ended_well(end.started_at, end.finished_at)
            if is_final(info):
                self._ended[container_id] = info
        return container_id in self._ended

    async def _inspect(self, name_or_id: str) -> ContainerInfo | None:
        try:
            info = info_from_inspect(await self._call(self._api.inspect_container, name_or_id))
        except GoneError:
            return None
        oom_killed = info.oom_killed or self._watch.was_oom(info.id)
        return replace(info, oom_killed=oom_killed, last_exit_code=self._watch.last_exit_code(info.id))

    async def stop(self, container_id: str, grace: float) -> None:
        def run() -> None:
            with translated(self._socket):
                self._api.stop(container_id, timeout=math.ceil(grace))

        try:
            await asyncio.get_running_loop().run_in_executor(self._waits, run)
        except GoneError:
            return

    async def remove(self, container_id: str) -> None:
        self._made.pop(container_id, None)
        self._ended.pop(container_id, None)
        self._watch.forget(container_id)
        try:
            await self._call(self._api.remove_container, container_id, v=True)
        except GoneError:
            return
        except GamekeeperError as error:
            if "already in progress" not in str(error):
                raise

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        labels = [f"{LABEL}node={self._node}"]
        labels += [f"{LABEL}{name}={value}" for name, value in (("run", run_id), ("step", step)) if value]
        known = list(self._made)
        listed = await self._call(self._api.containers, all=True, filters={"label": labels})
        found = await asyncio.gather(*[self._find_listed(item) for item in listed])
        if not run_id:
            self._ended = {info.id: info for info in found if info is not None and is_final(info)}
            for gone in set(known) - {item["Id"] for item in listed}:
                self._made.pop(gone, None)
        return [info for info in found if info is not None and info.owner is not None]

    async def _find_listed(self, item: dict[str, Any]) -> ContainerInfo | None:
        """Finds an ended job in the list: it stays as it was, and most containers of a busy node are such jobs."""
        known = self._ended.get(item["Id"])
        if known is not None and known.status.value == item["State"]:
            return known
        return await self._inspect(item["Id"])

    def on_change(self, told: Callable[[], None]) -> None:
        self._watch.on_change(told)

    async def usage(self) -> Sequence[ContainerUsage]:
        filters = {"label": f"{LABEL}node={self._node}", "status": "running"}
        listed = await self._call(self._api.containers, filters=filters)
        found = await asyncio.gather(*[self._usage_of(item) for item in listed])
        return [usage for usage in found if usage is not None]

    async def _usage_of(self, item: dict[str, Any]) -> ContainerUsage | None:
        try:
            stats = await self._call(self._api.stats, item["Id"], stream=False, one_shot=True)
        except GoneError:
            return None
        return usage_from_stats(item, stats, self._watch.oom_events(item["Id"]))

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        try:
            tty = await self._has_terminal(container_id)
            response = await closed_if_unused(self._call(self._open_log, container_id, since_ns, follow, "all"))
        except GoneError:
            return
        try:
            swallows = version_tuple(self._api.api_version) < NEWLINES_KEPT
            async with aclosing(LogPump(response, tty=tty, swallows=swallows).batches()) as batches:
                async for lines in batches:
                    yield lines
        except (OSError, DockerException, HTTPError) as error:
            raise UnavailableError(f"the log of container {container_id[:12]} broke off: {error}") from error

    async def last_log_line(self, container_id: str) -> LogLine | None:
        try:
            tty = await self._has_terminal(container_id)
            response = await closed_if_unused(self._call(self._open_log, container_id, 0, False, "1"))
            async with aclosing(LogPump(response, tty=tty).batches()) as batches:
                lines = [line async for batch in batches for line in batch]
        except GoneError:
            return None
        except (OSError, DockerException, HTTPError) as error:
            raise UnavailableError(f"the log of container {container_id[:12]} broke off: {error}") from error
        return lines[-1] if lines else None

    async def _has_terminal(self, container_id: str) -> bool:
        made = self._made.get(container_id)
        return made.tty if made is not None else (await self._call(self._look, container_id)).tty

    def _open_log(self, container_id: str, since_ns: int, follow: bool, tail: str) -> Any:
        since = f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09d}" if since_ns else "0"
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow)), "since": since}
        parameters["tail"] = tail
        base = LOGS_URL if self._api.base_url.startswith(UNIX_URL) else self._api.base_url
        url = f"{base}/v{self._api.api_version}/containers/{container_id}/logs"
        response = self._api.get(url, params=parameters, stream=True, timeout=(CALL_TIMEOUT_SECONDS, None))
        if not response.ok:
            response.close()
        if response.status_code == 404:
            raise GoneError(container_id)
        response.raise_for_status()
        return response

    def newest_start(self, container_id: str) -> tuple[int, int]:
        self._watch.ensure_started()
        return self._watch.newest_start(container_id)

    async def was_started_since(self, container_id: str, mark: Any) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVENT_SECONDS):
                while (answer := self._watch.was_started_since(container_id, mark)) is None:
                    await asyncio.sleep(0.05)
                return answer
        return True

    async def open_console(self, container_id: str, request: ConsoleRequest) -> DockerConsole:
        return await self._call(open_console, self._api, self._waits, container_id, request)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> DockerConsole:
        return await self._call(look_in, self._api, self._waits, self._node, container_id, request)

    async def sweep_consoles(self) -> None:
        await self._call(sweep, self._api, self._node)

    async def ensure_network(self, name: str, run_id: str) -> None:
        await self._resources.ensure_network(name, run_id)

    async def ensure_volume(self, name: str, run_id: str) -> None:
        await self._resources.ensure_volume(name, run_id)

    async def open_workspace(self, container_id: str, volume: str) -> None:
        made = self._made.get(container_id)
        if made is None:
            made = await self._call(self._look, container_id)
        if not made.may_write:
            await self._resources.open_workspace(container_id, volume)

    async def list_run_resources(self) -> Sequence[str]:
        return await self._resources.list_runs()

    async def remove_run_resources(self, run_id: str) -> None:
        await self._resources.remove(run_id)


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def is_final(info: ContainerInfo) -> bool:
    """True when a container has ended and nothing of ours starts it again."""
    is_job = info.owner is not None and info.owner.kind == "job"
    return is_job and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
