"""The container engine of one node, as the node's activities need it. Two adapters: Docker, and a dummy to steer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize, ConsoleText
from gamekeeper.domain.run.step import StepKey


class ContainerStatus(StrEnum):
    """Docker's own words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Ownership:
    """Who a container belongs to, kept in its labels: the labels are the truth, the name is the lock."""

    key: StepKey
    node: str
    pipeline: str = ""
    kind: str = "job"
    lifetime: str = "run"
    deadline: float = 0.0


@dataclass(frozen=True)
class ContainerInfo:
    """A container as the engine tells it. ``owner`` is None for one that is not ours. ``restart_count`` says how often
    the engine started it again by its restart policy."""

    id: str
    name: str
    image: str
    status: ContainerStatus
    owner: Ownership | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: Health = Health.NONE
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    digest: str = ""
    ports: tuple[str, ...] = ()
    health_log: str = ""
    restart_count: int = 0


@dataclass(frozen=True)
class ContainerUsage:
    """What a running container of ours has used so far (counters) and uses now. Bytes and nanoseconds."""

    name: str
    key: StepKey
    cpu_ns: int = 0
    memory_working_set_bytes: int = 0
    memory_limit_bytes: int = 0
    network_receive_bytes: int = 0
    network_send_bytes: int = 0
    block_read_bytes: int = 0
    block_write_bytes: int = 0
    pids: int = 0
    oom_events: int = 0


@dataclass(frozen=True)
class NewContainer:
    """A container to create. ``network`` is the run's network, on which ``alias`` names this container. One that
    ``has_outputs`` finds the name of the file for them in ``$STEP_OUTPUT``."""

    owner: Ownership
    spec: Container
    network: str | None = None
    workspace: str | None = None
    alias: str = ""
    has_outputs: bool = False


class NameTakenError(Exception):
    """A container of that name exists: somebody was first, perhaps this step's earlier delivery."""


class StartError(Exception):
    """The engine could not start a created container; the text is the engine's own."""


Progress = Callable[[str], None]


class EngineConsole(Protocol):
    """One terminal. Reading and writing may go on at the same time; each raises UnavailableError when it broke off."""

    async def read(self) -> ConsoleText | None:
        """Blocks until something was written; None at the end."""

    async def write(self, data: bytes) -> None:
        """Blocks while the command does not read. What a command that has ended is told is dropped."""

    async def end_input(self) -> None: ...

    async def resize(self, size: ConsoleSize) -> None:
        """Without effect where there is no terminal."""

    async def exit_code(self) -> int | None:
        """After the end of the output: of the command, or of the container; None while that goes on."""

    async def close(self) -> None:
        """Hangs up: a command that still runs is ended, a container's own process is left alone. Idempotent."""


class ContainerEngine(Protocol):
    """Every method raises UnavailableError when the engine does not answer; all are safe to call again.

    Cancelling a call stops the waiting, never what the engine does.
    """

    async def ping(self) -> None:
        """Returns at once when the engine answers."""

    async def version(self) -> dict[str, str]:
        """``version`` and ``storage_driver`` of the engine, and of ``containerd`` and ``runc`` where it tells."""

    async def has_image(self, image: str) -> bool: ...

    async def pull(self, image: str, progress: Progress, idle_timeout: float) -> None:
        """Pulls once however many steps ask (single flight). Raises ImageError with the engine's words, and also
        when nothing moved for ``idle_timeout`` seconds. Blocks as long as layers move."""

    async def create(self, new: NewContainer) -> str:
        """The id of a new, not started container. Raises NameTakenError, ImageError (image gone), InvalidError."""

    async def prepare_outputs(self, container_id: str) -> None:
        """An empty file for outputs, which any user may write, in a container that was not started. Idempotent."""

    async def read_outputs(self, container_id: str) -> bytes:
        """The file for outputs of a container that has ended; empty where it was removed. Raises InvalidError for one
        that is too large."""
        ...

    async def start(self, container_id: str) -> None:
        """Idempotent. Raises StartError when the container's process can't be started."""

    async def wait(self, container_id: str) -> None:
        """Blocks until the container is not running; returns at once for one that ended or is gone."""

    async def find(self, name_or_id: str) -> ContainerInfo | None: ...

    async def stop(self, container_id: str, grace: float) -> None:
        """Stop signal, ``grace`` seconds, kill. Success for a container that has ended or is gone."""

    async def remove(self, container_id: str) -> None:
        """Removes an ended container with its anonymous volumes. Success for one that is gone."""

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        """Containers of this node that carry our labels, ended ones included."""

    async def usage(self) -> Sequence[ContainerUsage]:
        """Of every running container that carries our labels. Also says that the engine answers."""

    def read_logs(self, container_id: str, since_ns: int, *, follow: bool) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines from ``since_ns`` on (inclusive: the caller drops what it has): those that are there, or with
        ``follow`` until the container ends. Following a long log may end or skip where the engine begins a new
        file; reading what is there does neither."""
        ...

    async def last_log_line(self, container_id: str) -> LogLine | None:
        """The newest line that the engine holds, without reading the log; None when there is none."""
        ...

    async def open_console(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        """A command beside the container's process, or without one that process itself. Not idempotent. Raises
        StartError when it can't be begun, also for a container that does not run."""
        ...

    async def look_in(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        """A command with the files, volumes and network of a container that has ended, beside it. What it changes is
        gone with the console, but for volumes. Not idempotent. Raises StartError."""
        ...

    async def sweep_consoles(self) -> None:
        """Removes what consoles of an earlier agent process left of ``look_in``; idempotent."""

    async def ensure_network(self, name: str, run_id: str) -> None: ...

    async def ensure_volume(self, name: str, run_id: str) -> None: ...

    async def list_run_resources(self) -> Sequence[str]:
        """Run ids that still have a network or volume here."""

    async def remove_run_resources(self, run_id: str) -> None:
        """Removes a run's volume where no container has it any more, and its network when no container of the run is
        left, however it is: one that is stopped or restarting could never start again without. Idempotent."""
