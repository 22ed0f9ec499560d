"""ContainerEngine in memory, steered by the environment of its containers (``container.py``).

``DUMMY_START_ERROR`` is text with which a start fails, ``DUMMY_START_FAULTS`` how often the engine fails to start it
first. The image ``missing`` does not exist.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from agent_worker.dummy_engine.console import DummyConsole
from agent_worker.dummy_engine.container import KILLED, TERMINATED, DummyContainer
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.run.console import ConsoleHistory, ConsoleRequest
from gamekeeper.errors import ImageError, SecretError
from gamekeeper.ports.container_engine import (
    NODE_NETWORK,
    ContainerInfo,
    ContainerStatus,
    ContainerUsage,
    EngineFaultError,
    NameTakenError,
    NewContainer,
    Progress,
    StartError,
    claimed_volumes,
    group_network,
    volume_of_another,
)


class DummyEngine:
    def __init__(self, node: str, held: SecretsOfContainers | None = None) -> None:
        self._node = node
        self._held = held or SecretsOfContainers()
        self._by_id: dict[str, DummyContainer] = {}
        self._ids: dict[str, str] = {}
        self._resources: set[str] = set()
        self._groups: set[str] = set()
        self._claimed: dict[str, str] = {}  # volumes of pipelines, and whose they are
        self.own_volumes: dict[str, str] = {}  # names, and the instances whose they are
        self._faults: dict[str, int] = {}
        self._free_ports = count(32768)
        self.logins: dict[str, RegistryLogin | None] = {}  # of the newest pull of each image
        self._newest_starts: dict[str, datetime] = {}
        self._told: Callable[[], None] = lambda: None
        self._told_name: Callable[[str], None] = lambda _: None

    async def ping(self) -> None:
        return None

    async def version(self) -> dict[str, str]:
        return {"version": "dummy", "storage_driver": "memory"}

    async def has_image(self, image: str) -> bool:
        return not image.startswith("missing")

    async def pull(
        self, image: str, progress: Progress, idle_timeout: float, login: RegistryLogin | None = None
    ) -> None:
        self.logins[image] = login
        progress(f"pulling {image}, at most {idle_timeout} s without progress")
        if image.startswith("missing"):
            raise ImageError(f"image {image} can't be pulled: it does not exist", hint="check the name")

    async def create(self, new: NewContainer) -> str:
        name = new.owner.key.container_name
        if await self.find(name) is not None:
            raise NameTakenError(name)
        if new.spec.image.startswith("missing"):
            raise ImageError(f"image {new.spec.image} is gone")
        for secret in new.spec.secrets:
            if b"\0" in new.values[secret.secret] and secret.env:
                raise SecretError(f'the secret "{secret.secret}" is no text, which alone a variable holds')
        for volume in claimed_volumes(new):
            if (owner := self._claimed.setdefault(volume, new.owner.pipeline)) != new.owner.pipeline:
                raise volume_of_another(volume, owner)
        info = ContainerInfo(
            id=uuid.uuid4().hex * 2,
            name=name,
            image=new.spec.image,
            status=ContainerStatus.CREATED,
            owner=new.owner,
            created_at=datetime.now(UTC),
            digest="sha256:dummy",
            exit_code=0,
            judged=new.judged.to_label() if new.judged else "",
            secrets=new.secrets,
        )
        self._hold(name, new.values)
        self._by_id[info.id] = DummyContainer(info, new, self._tell, self._free_ports)
        self._ids[info.name] = info.id
        return info.id

    async def prepare_outputs(self, container_id: str) -> None:
        self._by_id[container_id].has_output_file = True

    async def read_outputs(self, container_id: str) -> bytes:
        container = self._by_id.get(container_id)
        if container is None or not container.has_output_file:
            return b""
        return container.orders.get("DUMMY_STEP_OUTPUT", "").replace(";", "\n").encode()

    async def keeps_secrets(self, container_id: str, secrets: Mapping[str, bytes] | None) -> bool:
        container = self._by_id.get(container_id)
        if container is None:
            return False
        if secrets is None:
            return not container.lost_files
        named = [item.secret for item in container.new.spec.secrets if item.env]
        return all(container.new.values[name] == secrets[name] for name in named)

    def _hold(self, name: str, values: Mapping[str, bytes]) -> None:
        if values:
            self._held.hold(name, list(values.values()))

    def lose_secret_files(self) -> None:
        """As when the machine goes down, whose memory holds them."""
        for container in self._by_id.values():
            container.lost_files = any(item.path for item in container.new.spec.secrets)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        container = self._by_id.get(container_id)
        if container is None:
            raise EngineFaultError(f"no such container: {container_id}")
        if container.info.status not in (ContainerStatus.CREATED, ContainerStatus.EXITED):
            return
        environment = container.orders
        if "DUMMY_START_ERROR" in environment:
            container.info = replace(container.info, exit_code=127, error=environment["DUMMY_START_ERROR"])
            raise StartError(environment["DUMMY_START_ERROR"])
        if self._faults.setdefault(container.info.name, int(environment.get("DUMMY_START_FAULTS", "0"))) > 0:
            self._faults[container.info.name] -= 1
            raise EngineFaultError("the dummy failed: port 1 is already allocated")
        if secrets is not None:
            self._hold(container.info.name, secrets)
            container.new, container.lost_files = replace(container.new, values=secrets), False
        if container.lost_files:
            raise EngineFaultError("the dummy failed: a file of a secret is not there")
        container.start()

    def finish(self, step: str) -> None:
        """Ends the sleep of a step's containers, for those who can't tell beforehand how long it is to be."""
        for container in self._by_id.values():
            if isinstance(key := container.new.owner.key, StepKey) and key.step == step:
                container.slept.set()

    def _tell(self, info: ContainerInfo) -> None:
        if info.started_at is not None:
            self._newest_starts[info.id] = info.started_at
        self._told()
        self._told_name(info.name)

    async def wait(self, container_id: str) -> None:
        container = self._by_id.get(container_id)
        if container is not None and container.info.status is not ContainerStatus.CREATED:
            await container.ended.wait()

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        container = self._by_id.get(self._ids.get(name_or_id, name_or_id))
        return container.checked_info() if container else None

    async def made(self, container_id: str) -> ContainerInfo | None:
        container = self._by_id.get(container_id)
        return container.info if container else None

    async def stop(self, container_id: str, grace: float) -> None:
        container = self._by_id.get(container_id)
        if container is None or container.info.status not in (ContainerStatus.RUNNING, ContainerStatus.RESTARTING):
            return
        container.stop(TERMINATED if grace > 0 else KILLED)

    async def signal(self, container_id: str, name: str) -> None:
        container = self._by_id.get(container_id)
        if container is None or not container.is_running:
            return
        if name in container.orders.get("DUMMY_IGNORES", "").split():
            return
        container.stop(KILLED if name == "SIGKILL" else TERMINATED)

    async def never_restart(self, container_id: str) -> None:
        if (container := self._by_id.get(container_id)) is not None:
            container.new = replace(container.new, spec=container.new.spec.model_copy(update={"restart": "no"}))

    async def ended_with_engine(self, info: ContainerInfo) -> bool:
        container = self._by_id.get(info.id)
        return container is not None and container.with_engine

    def go_down(self) -> None:
        """Ends all that runs, as the engine's own end does."""
        for container in self._by_id.values():
            if container.is_running:
                container.with_engine = True
                container.stop(KILLED)

    def starts_of(self, name: str) -> int:
        """The number of starts of the container of that name."""
        container = self._by_id.get(self._ids.get(name, ""))
        return container.starts if container else 0

    async def remove(self, container_id: str) -> None:
        if (container := self._by_id.pop(container_id, None)) is not None:
            self._ids.pop(container.info.name, None)
            self._held.release(container.info.name)
            self._told_name(container.info.name)

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        return [
            container.info
            for container in self._by_id.values()
            if container.info.owner
            and isinstance(key := container.info.owner.key, StepKey)
            and run_id in ("", key.run_id)
            and step in ("", key.step)
        ]

    async def list_instances(self) -> Sequence[ContainerInfo]:
        infos = [container.info for container in self._by_id.values()]
        return [info for info in infos if info.owner and isinstance(info.owner.key, InstanceKey)]

    def on_change(self, told: Callable[[], None]) -> None:
        self._told = told

    def on_event(self, told: Callable[[str], None]) -> None:
        self._told_name = told

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

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        container = self._by_id.get(container_id)
        return container.lines[-count:] if container else []

    def newest_start(self, container_id: str) -> object:
        return self._newest_starts.get(container_id)

    async def was_started_since(self, container_id: str, mark: object) -> bool:
        return self.newest_start(container_id) != mark

    async def open_console(self, container_id: str, request: ConsoleRequest) -> DummyConsole:
        container = self._by_id.get(container_id)
        if container is None or not container.is_running:
            raise StartError("the container is not running")
        if request.command or not request.history:
            return DummyConsole(request)
        lines, created = container.lines[-request.history :], container.info.created_at
        is_whole = len(container.lines) < request.history and created is not None
        since_ns = int(created.timestamp() * 1e6) * 1000 if is_whole and created is not None else 0
        return DummyConsole(request, lines, ConsoleHistory(since_ns))

    async def type_in(self, container_id: str, data: bytes) -> None:
        container = self._by_id.get(container_id)
        if container is None or not container.is_running:
            raise StartError("the container is not running")
        if data.decode(errors="replace").strip() == container.orders.get("DUMMY_STOP", "\0"):
            container.stop(0)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> DummyConsole:
        if container_id not in self._by_id:
            raise StartError("the container is gone")
        return DummyConsole(request)

    async def sweep_consoles(self) -> None:
        return None

    async def ensure_network(self, name: str, run_id: str) -> None:
        self._resources.add(run_id or name)

    async def ensure_group(self, group: str) -> None:
        self._groups.add(group)

    async def ensure_node_network(self) -> str:
        return NODE_NETWORK

    async def remove_unused_groups(self) -> Sequence[str]:
        used = {container.new.network for container in self._by_id.values()}
        self._groups = {group for group in self._groups if group_network(group) in used}
        return sorted(self._groups)

    async def release_host_folders(self) -> None:
        return

    async def ensure_own_volume(self, name: str, instance: str) -> None:
        self.own_volumes.setdefault(name, instance)

    async def remove_own_volumes(self, instance: str, names: Iterable[str]) -> Mapping[str, str]:
        asked = {*names, *(name for name, owner in self.own_volumes.items() if owner == instance)}
        stay = {name: f"container {holder} has it" for name in asked if (holder := self._holder(name))}
        gone = asked - stay.keys()
        self.own_volumes = {name: owner for name, owner in self.own_volumes.items() if name not in gone}
        return stay

    def _holder(self, volume: str) -> str:
        """The name of a container that has the volume."""
        for container in self._by_id.values():
            if any(text.partition(":")[0] == volume for text in container.new.spec.volumes):
                return container.info.name
        return ""

    async def ensure_volume(self, name: str, run_id: str) -> None:
        self._resources.add(run_id or name)

    async def open_workspace(self, container_id: str, volume: str) -> None:
        self._by_id[container_id].workspace = volume

    async def list_run_resources(self) -> Sequence[str]:
        return sorted(self._resources)

    async def remove_run_resources(self, run_id: str) -> None:
        if not await self.list_owned(run_id=run_id):
            self._resources.discard(run_id)
