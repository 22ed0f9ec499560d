"""The container engine of one node, as the node's activities need it. Two adapters: Docker, and a dummy to steer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.project_volume import PREFIX
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.ports.engine_console import EngineConsole


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
    """The owner of a container, kept in its labels: the labels are the truth, the name is the lock."""

    key: ContainerKey
    node: str
    pipeline: str = ""
    kind: str = "job"
    lifetime: str = "run"
    deadline: float = 0.0


@dataclass(frozen=True)
class ContainerInfo:
    """A container as the engine tells it. ``owner`` is None for one that is not ours. ``restart_count`` says how often
    the engine started it again by its restart policy, ``last_exit_code`` how it ended last, though it runs again.
    ``log_kept_bytes`` is what the engine still holds, at the least, of a log whose beginning it has dropped; 0 where it
    never drops any. ``tty`` and ``stop_signal`` are as it was made, and so are its ``secrets``: how many values it was
    given. ``judged`` is the ``Judged`` that it was made with, as its label; empty for one of an older agent."""

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
    last_exit_code: int | None = None
    log_kept_bytes: int = 0
    tty: bool = False
    stop_signal: str = "SIGTERM"
    judged: str = ""
    secrets: int = 0


@dataclass(frozen=True)
class ContainerUsage:
    """The use of a running container of ours, so far (counters) and now. Bytes and nanoseconds."""

    name: str
    key: ContainerKey
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
    """A container to create. ``network`` is its run's or its group's, on which ``alias`` and ``aliases`` name this
    container. One that ``has_outputs`` finds the name of the file for them in ``$STEP_OUTPUT``. ``judged`` is what the
    node's policy was asked. ``secrets`` tells how many secret values it is given, for an agent that knows them no
    more, and ``values`` has them."""

    owner: Ownership
    spec: Container
    network: str | None = None
    workspace: str | None = None
    alias: str = ""
    aliases: tuple[str, ...] = ()
    has_outputs: bool = False
    judged: Judged | None = None
    secrets: int = 0
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)


NODE_NETWORK = "gk-instances"


def claimed_volumes(new: NewContainer) -> list[str]:
    """The volumes of a container that are its own pipeline's by their names."""
    own = f"{PREFIX}{new.owner.pipeline}-"
    sources = {volume.partition(":")[0] for volume in new.spec.volumes}
    return sorted(source for source in sources if new.owner.pipeline and source.startswith(own))


def volume_of_another(name: str, owner: str) -> InvalidError:
    return InvalidError(
        f"volume {name} belongs to pipeline {owner}", hint="name the volume, or the pipeline, otherwise"
    )


def group_network(group: str) -> str:
    """The name of the network of a group of instances."""
    return f"gk-g-{group}"


class NameTakenError(Exception):
    """A container of that name exists: somebody came first, perhaps an earlier delivery of this step."""


class StartError(Exception):
    """A container's own command, or a console, can't be started; the text is the engine's own."""


class EngineFaultError(UnavailableError):
    """The engine answered that it failed: no room on its disk, a port that is taken, no such device. It may pass or
    not, and what it did not start was not started."""


Progress = Callable[[str], None]


class ContainerEngine(Protocol):
    """Every method raises UnavailableError when the engine does not answer, and its subclass EngineFaultError when the
    engine answers that it failed.

    A cancelled call stops waiting; the engine may carry out what it was asked all the same. The caller then asks again.
    "Short" below means one answer of the engine, within its time limit.
    """

    async def ping(self) -> None:
        """Returns when the engine answers. Short. Idempotent."""

    async def version(self) -> dict[str, str]:
        """``version`` and ``storage_driver`` of the engine, and of ``containerd`` and ``runc`` where it tells.

        Short. Idempotent.
        """

    async def has_image(self, image: str) -> bool:
        """True when the image is on this node. Short. Idempotent."""

    async def pull(
        self, image: str, progress: Progress, idle_timeout: float, login: RegistryLogin | None = None
    ) -> None:
        """Pulls once however many steps ask with one login (single flight). Blocks as long as layers move. Idempotent.

        Raises ImageError with the engine's words, and also when nothing moved for ``idle_timeout`` seconds. A cancelled
        caller stops waiting; the pull goes on for the others.
        """

    async def create(self, new: NewContainer) -> str:
        """Creates a container, does not start it, and returns its id. Short. The engine never starts it by itself.

        Not idempotent: the second call raises NameTakenError, which is how deliveries of one try find each other.
        Raises ImageError (image gone) and InvalidError, also for a volume that is another pipeline's, and its subclass
        SecretError for a value that can't be given so. A cancelled call may have created it.
        """

    async def prepare_outputs(self, container_id: str) -> None:
        """Puts an empty file for outputs, which any user may write, into a container that was not started.

        Short. Idempotent.
        """

    async def read_outputs(self, container_id: str) -> bytes:
        """Reads the file for outputs of a container that has ended; empty where it was removed. Short. Idempotent.

        Raises InvalidError for a file that is too large.
        """
        ...

    async def open_workspace(self, container_id: str, volume: str) -> None:
        """Lets any user write to ``volume``, the workspace of a container that was not started, where that container
        needs it. Short. Idempotent.

        A folder that a step, or its image, keeps from others stays so.
        """

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        """Starts a container, also one that has ended; does nothing for one that runs. Short. Idempotent. With the
        values of its ``secrets`` their files are written anew before.

        Its host folders are looked for anew, without following a link. Raises PolicyError where one can't be had, or a
        container that runs could replace it.

        Raises StartError when the engine says that the container's own command can't be started (exit code 126 or
        127), and EngineFaultError for all else that kept it from starting.
        """

    async def keeps_secrets(self, container_id: str, secrets: Mapping[str, bytes] | None) -> bool:
        """True for a container that can be started with these values: its variables, which never change, have them.
        With None, True when it can be started with what it has: no file of a secret is missing. Short. Idempotent."""
        ...

    async def wait(self, container_id: str) -> None:
        """Blocks until the container is not running; returns at once for one that ended or is gone. Idempotent.

        Cancelling it changes nothing for the container.
        """

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        """The container as it is now; None when there is none. Short. Idempotent."""

    async def made(self, container_id: str) -> ContainerInfo | None:
        """The container as it was made, whatever became of it since; None when it is gone. Short, and at once for one
        that this process has created. Idempotent."""
        ...

    async def stop(self, container_id: str, grace: float) -> None:
        """Sends the stop signal, and kills after ``grace`` seconds. Blocks until the container has ended. Idempotent.

        Succeeds for a container that has ended or is gone. The engine carries out a stop that was cancelled.
        """

    async def signal(self, container_id: str, name: str) -> None:
        """Sends a signal, as SIGINT, to the container's process; does nothing for one that does not run. Short.

        Not idempotent: a process may count them.
        """

    async def never_restart(self, container_id: str) -> None:
        """Takes the engine's own restart policy from a container, and touches nothing else. Short. Idempotent."""

    async def ended_with_engine(self, info: ContainerInfo) -> bool:
        """True when a container ended because the engine or the machine went down. Short. Idempotent.

        Best effort: it is told by the engine's newest start, and by when its events were away. Raises UnavailableError.
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Removes an ended container with its anonymous volumes. Succeeds for one that is gone, and by then it is: what
        it had may be removed next. Short. Idempotent."""

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        """Containers of steps on this node, ended ones included. Short. Idempotent."""

    async def list_instances(self) -> Sequence[ContainerInfo]:
        """Containers of instances on this node, ended ones included. Short. Idempotent."""

    def on_change(self, told: Callable[[], None]) -> None:
        """Calls ``told`` from now on, in this loop, soon after a container of this node started, ended or changed its
        health. Returns at once. Idempotent: the newest listener is the only one.

        Best effort: an engine that was away tells nothing of the changes meanwhile.
        """

    def on_event(self, told: Callable[[str], None]) -> None:
        """Calls ``told`` with a container's name, in this loop, soon after it started, ended, changed its health or was
        removed; with no name after a while in which events may have been missed. Returns at once.

        Idempotent: the newest listener is the only one. Best effort, as ``on_change``.
        """

    async def usage(self) -> Sequence[ContainerUsage]:
        """The use of every running container that carries our labels; it also says that the engine answers.

        Short. Idempotent.
        """

    def read_logs(self, container_id: str, since_ns: int, *, follow: bool) -> AsyncGenerator[Sequence[LogLine], None]:
        """Yields lines from ``since_ns`` on (inclusive: the caller drops what it has). Idempotent.

        Without ``follow`` it ends behind the lines that are there. With ``follow`` it blocks until the container ends;
        where the engine begins a new file of a long log it may end early, get stuck, or skip or repeat lines, which
        reading without ``follow`` never does. Closing the generator or cancelling its reader ends the stream and loses
        nothing.
        """
        ...

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        """The newest lines that the engine holds, oldest first, without reading the log. Short. Idempotent."""
        ...

    def newest_start(self, container_id: str) -> object:
        """The newest start of a container that the engine told of, for ``was_started_since``.

        Returns at once. Idempotent.
        """
        ...

    async def was_started_since(self, container_id: str, mark: object) -> bool:
        """True when a container that is gone now was started after ``mark``, or when that can't be known, because the
        engine's events were not heard all the time. Blocks for a few seconds at the most. Idempotent."""
        ...

    async def open_console(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        """Opens a command beside the container's process, or without a command that process itself. Short.

        With ``history`` the last lines of the process come first, and behind them all that it writes, none missing and
        none twice. Of a line that it had begun, what it wrote before is there only when it ends soon.
        Not idempotent: each call begins a command. Raises StartError when it can't be begun, also for a container that
        does not run. A cancelled call may leave a command that hangs up by itself.
        """
        ...

    async def type_in(self, container_id: str, data: bytes) -> None:
        """Writes to the input of a container's own process, and hangs up. Blocks until the engine has passed it on, for
        some seconds at most. Not idempotent.

        Raises StartError for a container that does not run.
        """
        ...

    async def look_in(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        """Opens a command with the files, volumes and network of an ended container. Blocks while the files are copied.

        Its changes are gone with the console, but for volumes and host folders, which are looked for as at a start. Not
        idempotent. Raises StartError and PolicyError. ``sweep_consoles``
        removes the leavings of a cancelled call.
        """
        ...

    async def sweep_consoles(self) -> None:
        """Removes the leavings of ``look_in`` of an earlier agent process. Short. Idempotent."""

    async def ensure_network(self, name: str, run_id: str) -> None:
        """Creates a run's network where it is missing. Short. Idempotent."""

    async def ensure_group(self, group: str) -> None:
        """Creates the network of a group of instances where it is missing. Short. Idempotent."""

    async def ensure_node_network(self) -> str:
        """Creates the network of all instances without a group where it is missing, and returns its name. Short.

        In it they reach the world, and not each other. Idempotent.
        """
        ...

    async def remove_unused_groups(self) -> Sequence[str]:
        """Removes the networks of groups, and that of all others, that no container has, in whatever state it is; the
        groups that are left. Short. Idempotent."""
        ...

    async def release_host_folders(self) -> None:
        """Lets go of host folders whose containers are gone, which a killed agent may have left. Short. Idempotent."""

    async def ensure_own_volume(self, name: str, instance: str) -> None:
        """Creates an instance's own volume where it is missing. Short. Idempotent."""

    async def remove_own_volumes(self, instance: str, names: Iterable[str]) -> Mapping[str, str]:
        """Removes the volumes that were created as the instance's own, and those ``names``; those that stay, each with
        why: a container has it, or the engine fails at it. Short. Idempotent."""
        ...

    async def ensure_volume(self, name: str, run_id: str) -> None:
        """Creates a run's volume where it is missing. Short. Idempotent."""

    async def list_run_resources(self) -> Sequence[str]:
        """Ids of runs that still have a network or volume here. Short. Idempotent."""

    async def remove_run_resources(self, run_id: str) -> None:
        """Removes a run's volume where no container has it any more, and its network when no container is left of it.

        The state of such a container does not matter: a stopped or restarting one could never start again without its
        network. Short. Idempotent.
        """
