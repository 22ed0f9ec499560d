"""ContainerEngine in memory, steered by the container's own environment: for tests, load tests and UI work.

``DUMMY_SLEEP`` seconds to run (a service without it runs until it is stopped), ``DUMMY_EXIT_CODE``, ``DUMMY_OOM=1``,
``DUMMY_CRASHES`` how many starts end after ``DUMMY_SLEEP`` before one stays up, each restarted as ``restart`` says,
``DUMMY_OUTPUT`` text to write, ``DUMMY_STEP_OUTPUT`` text for ``$STEP_OUTPUT`` (";" ends its lines),
``DUMMY_HEALTHY_AFTER`` seconds in which its health check says unhealthy, ``DUMMY_START_ERROR`` text with which the
start fails, ``DUMMY_START_FAULTS`` how often the engine fails to start it first. The image ``missing`` does not exist.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gamekeeper.domain.log.log import LogLine, LogStream
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize, ConsoleText
from gamekeeper.errors import ImageError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    ContainerUsage,
    EngineFaultError,
    Health,
    NameTakenError,
    NewContainer,
    Progress,
    StartError,
)

KILLED = 137
TERMINATED = 143
RESTART_SECONDS = 0.02


@dataclass
class _Container:
    info: ContainerInfo
    new: NewContainer
    lines: list[LogLine] = field(default_factory=list)
    slept: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    has_output_file: bool = False
    workspace: str = ""

    @property
    def orders(self) -> dict[str, str]:
        """The environment, by which it is steered."""
        return {name: value or "" for name, value in self.new.spec.environment.items()}

    def checked_info(self) -> ContainerInfo:
        """``info`` with the health of this moment."""
        info, seconds = self.info, float(self.orders.get("DUMMY_HEALTHY_AFTER", "0"))
        if info.health is Health.NONE or info.started_at is None:
            return info
        healthy = (datetime.now(UTC) - info.started_at).total_seconds() >= seconds
        return replace(info, health=Health.HEALTHY if healthy else Health.UNHEALTHY)

    def starts_again(self, exit_code: int) -> bool:
        """Docker's restart policies."""
        policy, _, limit = self.new.spec.restart.partition(":")
        if policy == "on-failure":
            return exit_code != 0 and (not limit or self.info.restart_count < int(limit))
        return policy != "no"


class DummyEngine:
    def __init__(self, node: str) -> None:
        self._node = node
        self._by_id: dict[str, _Container] = {}
        self._ids: dict[str, str] = {}
        self._resources: set[str] = set()
        self._faults: dict[str, int] = {}
        self._newest_starts: dict[str, datetime] = {}
        self._told: Callable[[], None] = lambda: None

    async def ping(self) -> None:
        return None

    async def version(self) -> dict[str, str]:
        return {"version": "dummy", "storage_driver": "memory"}

    async def has_image(self, image: str) -> bool:
        return not image.startswith("missing")

    async def pull(self, image: str, progress: Progress, idle_timeout: float) -> None:
        progress(f"pulling {image}, at most {idle_timeout} s without progress")
        if image.startswith("missing"):
            raise ImageError(f"image {image} can't be pulled: it does not exist", hint="check the name")

    async def create(self, new: NewContainer) -> str:
        name = new.owner.key.container_name
        if await self.find(name) is not None:
            raise NameTakenError(name)
        if new.spec.image.startswith("missing"):
            raise ImageError(f"image {new.spec.image} is gone")
        info = ContainerInfo(
            id=uuid.uuid4().hex * 2,
            name=name,
            image=new.spec.image,
            status=ContainerStatus.CREATED,
            owner=new.owner,
            created_at=datetime.now(UTC),
            digest="sha256:dummy",
            exit_code=0,
        )
        self._by_id[info.id] = _Container(info, new)
        self._ids[info.name] = info.id
        return info.id

    async def prepare_outputs(self, container_id: str) -> None:
        self._by_id[container_id].has_output_file = True

    async def read_outputs(self, container_id: str) -> bytes:
        container = self._by_id.get(container_id)
        if container is None or not container.has_output_file:
            return b""
        return container.orders.get("DUMMY_STEP_OUTPUT", "").replace(";", "\n").encode()

    async def start(self, container_id: str) -> None:
        container = self._by_id.get(container_id)
        if container is None:
            raise EngineFaultError(f"no such container: {container_id}")
        if container.info.status is not ContainerStatus.CREATED:
            return
        environment = container.orders
        if "DUMMY_START_ERROR" in environment:
            container.info = replace(container.info, exit_code=127, error=environment["DUMMY_START_ERROR"])
            raise StartError(environment["DUMMY_START_ERROR"])
        if self._faults.setdefault(container.info.name, int(environment.get("DUMMY_START_FAULTS", "0"))) > 0:
            self._faults[container.info.name] -= 1
            raise EngineFaultError("the dummy failed: port 1 is already allocated")
        self._begin(container)

    def _begin(self, container: _Container) -> None:
        """One start of the process, the first one or a restart."""
        environment = container.orders
        health = Health.HEALTHY if container.new.spec.healthcheck else Health.NONE
        now = datetime.now(UTC)
        container.info = replace(container.info, status=ContainerStatus.RUNNING, started_at=now, health=health)
        self._newest_starts[container.info.id] = now
        self._told()
        if output := environment.get("DUMMY_OUTPUT"):
            for line in output.splitlines(keepends=True):
                container.lines.append(LogLine(LogStream.STDOUT, time.time_ns(), line.encode()))
        if "DUMMY_CRASHES" in environment:
            endless = container.info.restart_count >= int(environment["DUMMY_CRASHES"])
        else:
            endless = container.new.owner.kind == "service" and "DUMMY_SLEEP" not in environment
        if not endless:
            container.task = asyncio.create_task(self._run(container, float(environment.get("DUMMY_SLEEP", "0"))))

    async def _run(self, container: _Container, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(container.slept.wait(), seconds)
        environment = container.orders
        oom = environment.get("DUMMY_OOM") == "1"
        exit_code = int(environment.get("DUMMY_EXIT_CODE", KILLED if oom else 0))
        if container.starts_again(exit_code):
            count = container.info.restart_count + 1
            container.info = replace(
                container.info,
                status=ContainerStatus.RESTARTING,
                exit_code=exit_code,
                last_exit_code=exit_code,
                restart_count=count,
            )
            self._told()
            await asyncio.sleep(RESTART_SECONDS)
            self._begin(container)
        else:
            self._end(container, exit_code, oom=oom)

    def finish(self, step: str) -> None:
        """Ends the sleep of a step's containers, for those who can't tell beforehand how long it is to be."""
        for container in self._by_id.values():
            if container.new.owner.key.step == step:
                container.slept.set()

    def _end(self, container: _Container, exit_code: int, *, oom: bool = False) -> None:
        if not container.ended.is_set():
            container.info = replace(
                container.info,
                status=ContainerStatus.EXITED,
                exit_code=exit_code,
                last_exit_code=exit_code,
                oom_killed=oom,
                finished_at=datetime.now(UTC),
            )
            container.ended.set()
            self._told()

    async def wait(self, container_id: str) -> None:
        container = self._by_id.get(container_id)
        if container is not None and container.info.status is not ContainerStatus.CREATED:
            await container.ended.wait()

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        container = self._by_id.get(self._ids.get(name_or_id, name_or_id))
        return container.checked_info() if container else None

    async def stop(self, container_id: str, grace: float) -> None:
        container = self._by_id.get(container_id)
        if container is None or container.info.status not in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
            return
        if container.task is not None:
            container.task.cancel()
        self._end(container, TERMINATED if grace > 0 else KILLED)

    async def remove(self, container_id: str) -> None:
        if (container := self._by_id.pop(container_id, None)) is not None:
            self._ids.pop(container.info.name, None)

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        infos = [container.info for container in self._by_id.values()]
        return [
            info
            for info in infos
            if info.owner and run_id in ("", info.owner.key.run_id) and step in ("", info.owner.key.step)
        ]

    def on_change(self, told: Callable[[], None]) -> None:
        self._told = told

    async def usage(self) -> Sequence[ContainerUsage]:
        """Usage that is made up, and moves, so that graphs have something to show."""
        now = time.time()
        return [
            ContainerUsage(
                name=info.name,
                key=info.owner.key,
                cpu_ns=int((now * 0.3 + math.sin(now / 20) * 2) * 1e9),
                memory_working_set_bytes=int(2e8 + 5e7 * math.sin(now / 60)),
                network_receive_bytes=int(now * 1e5),
                network_send_bytes=int(now * 3e5),
                pids=12,
            )
            for info in (container.info for container in self._by_id.values())
            if info.status is ContainerStatus.RUNNING and info.owner is not None
        ]

    async def read_logs(
        self, container_id: str, since_ns: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        container = self._by_id.get(container_id)
        if container is None:
            return
        yield [line for line in container.lines if line.ts_ns >= since_ns]
        if follow:
            await container.ended.wait()

    async def last_log_line(self, container_id: str) -> LogLine | None:
        container = self._by_id.get(container_id)
        return container.lines[-1] if container and container.lines else None

    def newest_start(self, container_id: str) -> object:
        return self._newest_starts.get(container_id)

    async def was_started_since(self, container_id: str, mark: object) -> bool:
        return self.newest_start(container_id) != mark

    async def open_console(self, container_id: str, request: ConsoleRequest) -> DummyConsole:
        container = self._by_id.get(container_id)
        if container is None or container.info.status is not ContainerStatus.RUNNING:
            raise StartError("the container is not running")
        return DummyConsole(request)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> DummyConsole:
        if container_id not in self._by_id:
            raise StartError("the container is gone")
        return DummyConsole(request)

    async def sweep_consoles(self) -> None:
        return None

    async def ensure_network(self, name: str, run_id: str) -> None:
        self._resources.add(run_id or name)

    async def ensure_volume(self, name: str, run_id: str) -> None:
        self._resources.add(run_id or name)

    async def open_workspace(self, container_id: str, volume: str) -> None:
        self._by_id[container_id].workspace = volume

    async def list_run_resources(self) -> Sequence[str]:
        return sorted(self._resources)

    async def remove_run_resources(self, run_id: str) -> None:
        if not await self.list_owned(run_id=run_id):
            self._resources.discard(run_id)


class DummyConsole:
    """Says what it was told to run and how large it is, then echoes; ``exit N`` ends it."""

    def __init__(self, request: ConsoleRequest) -> None:
        self._exit_code: int | None = None
        self._written: asyncio.Queue[ConsoleText | None] = asyncio.Queue()
        self._say(" ".join(request.command) or "attached")
        self._say(f"{request.size.columns}x{request.size.rows}")

    def _say(self, text: str, stream: LogStream = LogStream.STDOUT) -> None:
        self._written.put_nowait(ConsoleText(stream, text.encode() + b"\n"))

    def _end(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._written.put_nowait(None)

    async def read(self) -> ConsoleText | None:
        return await self._written.get()

    async def write(self, data: bytes) -> None:
        words = data.decode(errors="replace").split()
        if words[:1] == ["exit"]:
            self._end(int(words[1]))
        else:
            self._written.put_nowait(ConsoleText(LogStream.STDOUT, data))

    async def end_input(self) -> None:
        self._say("end of input", LogStream.STDERR)
        self._end(0)

    async def resize(self, size: ConsoleSize) -> None:
        self._say(f"{size.columns}x{size.rows}")

    async def exit_code(self) -> int | None:
        return self._exit_code

    async def close(self) -> None:
        self._end(KILLED)
