"""The ContainerEngine adapter: the SDK's calls in threads, Docker's errors translated, its states read back."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from docker.api.client import APIClient

from agent_worker.docker_engine import outputs
from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.console import DockerConsole, open_console, type_in
from agent_worker.docker_engine.container_logs import ContainerLogs
from agent_worker.docker_engine.container_secrets import ContainerSecrets
from agent_worker.docker_engine.create_config import create_config
from agent_worker.docker_engine.disguised_volumes import refuse_disguised
from agent_worker.docker_engine.ended_console import LookIn, look_in, sweep
from agent_worker.docker_engine.errors import GoneError, fault
from agent_worker.docker_engine.exits import ExitWatch
from agent_worker.docker_engine.group_networks import GroupNetworks
from agent_worker.docker_engine.host_mounts import HostMounts
from agent_worker.docker_engine.inspected import Made, info_from_inspect, usage_from_stats
from agent_worker.docker_engine.joined_console import open_joined
from agent_worker.docker_engine.known_containers import KnownContainers
from agent_worker.docker_engine.own_volumes import OwnVolumes
from agent_worker.docker_engine.owner_labels import LABEL
from agent_worker.docker_engine.pull import ImagePuller
from agent_worker.docker_engine.removing import remove_wholly
from agent_worker.docker_engine.run_resources import RunResources
from agent_worker.docker_engine.starting import create_named, look, start_joined
from agent_worker.engine_socket.project import project_of
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.node.host_folder import engine_sockets, host_folders
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import ImageError, InvalidError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerUsage,
    EngineFaultError,
    NewContainer,
    Progress,
    StartError,
    claimed_volumes,
)
from gamekeeper.ports.engine_console import EngineConsole

EVENT_SECONDS = 5.0


class DockerEngine:
    """``node`` labels what this engine makes, and is the only thing it lists."""

    def __init__(self, node: str, base_url: str | None = None, held: SecretsOfContainers | None = None) -> None:
        self._node = node
        self._connection = EngineConnection(base_url)
        self._call = self._connection.call
        self._puller = ImagePuller(self._connection.connect, self._connection.address)
        self._watch = ExitWatch(self._connection.connect, self._connection.address, f"{LABEL}node={node}")
        self._known = KnownContainers(self._watch)
        self._logs = ContainerLogs(self._connection, self._look)
        self._resources = RunResources(node, self._connection)
        self._volumes = OwnVolumes(node, self._connection)
        self._groups = GroupNetworks(node, self._connection)
        self._mounts = HostMounts(node, self._connection)
        self._secrets = ContainerSecrets(node, self._connection, self._mounts.view, held or SecretsOfContainers())

    @property
    def _api(self) -> APIClient:
        return self._connection.api

    def close(self) -> None:
        """Lets go of the engine's sockets and threads."""
        self._watch.close()
        self._secrets.close()
        self._mounts.close()
        self._connection.close()

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

    async def pull(
        self, image: str, progress: Progress, idle_timeout: float, login: RegistryLogin | None = None
    ) -> None:
        await self._puller.pull(image, progress, idle_timeout, login)

    async def create(self, new: NewContainer) -> str:
        self._watch.ensure_started()
        await self._volumes.claim(claimed_volumes(new), new.owner.pipeline)
        name, folders = new.owner.key.container_name, host_folders(new.spec)
        project = project_of(new.owner, frozenset([new.network or ""])) if engine_sockets(new.spec) else None
        try:
            await refuse_disguised(self._connection, new)
            async with self._mounts.made(name, folders, project), self._secrets.made(new):
                paths = self._mounts.paths(name, folders), self._mounts.socket(name)
                config = create_config(new, *paths, self._secrets.paths(name, new.spec))
                made = await self._call(create_named, self._connection, config, name)
        except GoneError as error:
            self._resources.forget()
            self._groups.forget()
            raise fault(str(error)) from error
        self._known.made[made.info.id] = made
        return made.info.id

    async def prepare_outputs(self, container_id: str) -> None:
        await self._call(outputs.put_empty, self._api, container_id)

    async def read_outputs(self, container_id: str) -> bytes:
        return await self._call(outputs.read, self._api, container_id)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        made = await self._look(container_id)
        try:
            if secrets is not None:
                await self._secrets.renew(made, secrets)
            await self._mounts.start(
                made, lambda: self._call(start_joined, self._connection, self._groups, container_id)
            )
        except EngineFaultError:
            self._resources.forget()  # a network that is gone may be why: it is made again
            self._groups.forget()
            raise

    async def keeps_secrets(self, container_id: str, secrets: Mapping[str, bytes] | None) -> bool:
        return await self._secrets.keeps(container_id, secrets)

    async def wait(self, container_id: str) -> None:
        await self._known.unless_ended_well(container_id, asyncio.ensure_future(self._wait(container_id)))

    async def _wait(self, container_id: str) -> None:
        with suppress(GoneError):
            await self._connection.call_long(lambda: self._api.wait(container_id, timeout=None))

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        if (ended := self._known.ended.get(name_or_id)) is not None:
            return ended
        answer = asyncio.ensure_future(self._inspect(name_or_id))
        return await self._known.unless_ended_well(name_or_id, answer) or self._known.ended.get(name_or_id)

    async def _inspect(self, name_or_id: str) -> ContainerInfo | None:
        try:
            info = info_from_inspect(await self._call(self._api.inspect_container, name_or_id))
        except GoneError:
            return None
        oom_killed = info.oom_killed or self._watch.was_oom(info.id)
        return replace(info, oom_killed=oom_killed, last_exit_code=self._watch.last_exit_code(info.id))

    async def stop(self, container_id: str, grace: float) -> None:
        with suppress(GoneError):
            await self._connection.call_long(lambda: self._api.stop(container_id, timeout=math.ceil(grace)))

    async def signal(self, container_id: str, name: str) -> None:
        try:
            await self._call(self._api.kill, container_id, name)
        except (GoneError, InvalidError):
            return  # it is gone, or does not run

    async def never_restart(self, container_id: str) -> None:
        policy: Any = {"Name": "no", "MaximumRetryCount": 0}
        with suppress(GoneError):
            await self._call(self._api.update_container, container_id, restart_policy=policy)

    async def ended_with_engine(self, info: ContainerInfo) -> bool:
        return await asyncio.to_thread(self._watch.ended_with_engine, info.started_at, info.finished_at)

    async def remove(self, container_id: str) -> None:
        made = self._known.made.get(container_id)
        self._known.forget(container_id)
        await remove_wholly(self._connection, container_id)
        if made is not None and made.holds:  # those of an earlier agent's containers are found by release_unused
            await self._mounts.release(made.info.name)
        if made is not None and made.secrets:
            await self._secrets.release(made.info.name)

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        known = list(self._known.made)
        filters = [f"{LABEL}{name}={value}" for name, value in (("run", run_id), ("step", step)) if value]
        listed, found = await self._list(filters or [f"{LABEL}run"])
        if not run_id:
            self._known.keep(found, known, listed)
        return found

    async def list_instances(self) -> Sequence[ContainerInfo]:
        return (await self._list([f"{LABEL}instance"]))[1]

    async def _list(self, labels: list[str]) -> tuple[set[str], list[ContainerInfo]]:
        """The ids of what the engine lists, and those of them that are ours."""
        filters = {"label": [f"{LABEL}node={self._node}", *labels]}
        listed = await self._call(self._api.containers, all=True, filters=filters)
        found = await asyncio.gather(*[self._find_listed(item) for item in listed])
        return {item["Id"] for item in listed}, [info for info in found if info is not None and info.owner is not None]

    async def _find_listed(self, item: dict[str, Any]) -> ContainerInfo | None:
        """Finds an ended job in the list: it stays as it was, and most containers of a busy node are such jobs."""
        known = self._known.ended.get(item["Id"])
        if known is not None and known.status.value == item["State"]:
            return known
        return await self._inspect(item["Id"])

    def on_change(self, told: Callable[[], None]) -> None:
        self._watch.on_change(told)

    def on_event(self, told: Callable[[str], None]) -> None:
        self._watch.on_event(told)

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

    def read_logs(self, container_id: str, since_ns: int, *, follow: bool) -> AsyncGenerator[Sequence[LogLine], None]:
        return self._logs.read(container_id, since_ns, follow=follow)

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        return await self._logs.last_lines(container_id, count)

    async def _look(self, container_id: str) -> Made:
        """The container as it was made, from memory where it is known."""
        made = self._known.made.get(container_id)
        return made if made is not None else await self._call(look, self._connection, container_id)

    async def made(self, container_id: str) -> ContainerInfo | None:
        try:
            return (await self._look(container_id)).info
        except GoneError:
            return None

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

    async def open_console(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        def opening() -> Awaitable[DockerConsole]:
            return self._call(open_console, self._api, self._connection.waits, container_id, request)

        if request.command or not request.history:
            return await opening()
        try:
            return await open_joined(self._logs, await self._look(container_id), opening, request.history)
        except GoneError as error:
            raise StartError(str(error)) from error

    async def type_in(self, container_id: str, data: bytes) -> None:
        await self._call(type_in, self._api, container_id, data)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> DockerConsole:
        try:
            ended = await self._look(container_id)
        except GoneError as error:
            raise StartError(str(error)) from error
        name = f"{ended.info.name}-look-{secrets.token_hex(4)}"
        look = LookIn(self._node, container_id, name, self._mounts.paths(name, ended.folders))
        async with self._mounts.beside(ended, name):
            console = await self._call(look_in, self._api, self._connection.waits, look, request)
        if ended.folders:
            console.on_closed = partial(self._mounts.release, name)
        return console

    async def sweep_consoles(self) -> None:
        await self._call(sweep, self._api, self._node)

    async def release_host_folders(self) -> None:
        await self._mounts.release_unused()
        await self._secrets.take_up()

    async def ensure_network(self, name: str, run_id: str) -> None:
        await self._resources.ensure_network(name, run_id)

    async def ensure_group(self, group: str) -> None:
        await self._groups.ensure(group)

    async def ensure_node_network(self) -> str:
        return await self._groups.ensure_node_network()

    async def remove_unused_groups(self) -> Sequence[str]:
        return await self._groups.remove_unused()

    async def ensure_volume(self, name: str, run_id: str) -> None:
        await self._resources.ensure_volume(name, run_id)

    async def ensure_own_volume(self, name: str, instance: str) -> None:
        await self._volumes.ensure(name, instance)

    async def remove_own_volumes(self, instance: str, names: Iterable[str]) -> Mapping[str, str]:
        return await self._volumes.remove(instance, names)

    async def open_workspace(self, container_id: str, volume: str) -> None:
        if not (await self._look(container_id)).may_write:
            await self._resources.open_workspace(container_id, volume)

    async def list_run_resources(self) -> Sequence[str]:
        return await self._resources.list_runs()

    async def remove_run_resources(self, run_id: str) -> None:
        await self._resources.remove(run_id)
