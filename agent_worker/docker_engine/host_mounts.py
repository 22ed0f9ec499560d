"""Host folders of this node's containers: found, held and judged anew before each start, whoever asks for it.

Docker finds a bind's source again at every start of the container, and follows links then. So it never sees the path
that was asked for: it is given a mount of the agent's, which no container can change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.engine_sockets import EngineSockets
from agent_worker.docker_engine.errors import GoneError
from agent_worker.docker_engine.inspected import Made
from agent_worker.docker_engine.mount_config import FOLDERS, SOCKET, folders_from_list, unheld_path
from agent_worker.docker_engine.owner_labels import LABEL
from agent_worker.docker_engine.starting import check_free, is_up
from agent_worker.engine_socket.project import Project, name_of
from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.held_folders import RUNTIME_FOLDER, HeldFolders
from gamekeeper.domain.node.host_folder import HostFolder, clash, is_at_or_below
from gamekeeper.errors import GamekeeperError, InvalidError, PolicyError
from gamekeeper.logging import get_logger
from gamekeeper.uncancelled import uncancelled

log = get_logger(__name__)

NO_ROOT = ("name=userns", "name=rootless")  # engines whose containers are made by another user


class HostMounts:
    """Those of one node. One start at a time has its folders compared with those of what runs."""

    def __init__(self, node: str, connection: EngineConnection) -> None:
        self._node = node
        self._connection = connection
        self.view = EngineView(connection.address)
        self._held = HeldFolders(node, self.view)
        self._sockets = EngineSockets(node, connection, self._held)
        self._creating = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._making: dict[str, int] = {}
        self._root = ""
        self._is_disarmed = False

    def close(self) -> None:
        self._sockets.close_all()
        self.view.close()

    def socket(self, name: str) -> str:
        """The path of the socket that a container has in the place of the engine's."""
        return self._held.socket_path(name)

    def paths(self, name: str, folders: Sequence[HostFolder]) -> list[str]:
        return [self._held.path(name, index) for index in range(len(folders))]

    @asynccontextmanager
    async def made(
        self, name: str, folders: Sequence[HostFolder], project: Project | None = None
    ) -> AsyncIterator[None]:
        """Holds the folders of a container that is being made; lets go of them when that fails. With a ``project`` it
        gets a socket that shows that. Raises NameTakenError for one that is there: what it has stays its own."""
        if not folders and project is None:
            yield
            return
        async with self._creating:
            await self._connection.call(check_free, self._connection, name)
            async with self._holding(name, folders, project):
                yield

    @asynccontextmanager
    async def _holding(
        self, name: str, folders: Sequence[HostFolder], project: Project | None = None
    ) -> AsyncIterator[None]:
        self._making[name] = self._making.get(name, 0) + 1
        try:
            await self._look_at_engine()
            self._check(folders)
            await self._held.hold(name, folders)
            if project is not None:
                await self._sockets.open(name, project)
            yield
        except GamekeeperError:
            await self.release(name)
            raise
        finally:
            self._making[name] -= 1
            if not self._making[name]:
                del self._making[name]

    async def start(self, made: Made, start: Callable[[], Awaitable[None]]) -> None:
        """Starts a container with its folders as they are now. Raises PolicyError where they can't be had."""
        _check_held(made)
        if not made.holds:
            await start()
            return
        await uncancelled(self._start(made, start))

    async def _start(self, made: Made, start: Callable[[], Awaitable[None]]) -> None:
        async with self._starting:
            if await self._connection.call(is_up, self._connection, made.info.id):
                await start()  # nothing is begun, and its mounts are those that it has
                return
            if made.folders:
                await self._compare(made.info.id, made.folders)
            async with self._holding(made.info.name, made.folders, made.project):
                await start()

    @asynccontextmanager
    async def beside(self, ended: Made, name: str) -> AsyncIterator[None]:
        """Holds the folders of an ended container for another one, which is made of it and started."""
        _check_held(ended)
        if not ended.folders:
            yield
            return
        async with self._starting:
            await self._compare(ended.info.id, ended.folders)
            async with self._holding(name, ended.folders):
                yield

    async def release(self, name: str) -> None:
        """Lets go of the folders of a container that was removed, and of its socket."""
        self._sockets.close(name)
        await self._held.release(name)

    async def release_unused(self) -> None:
        """Lets go of what no container of this engine has, and goes on with the sockets of an earlier agent. The first
        time, what older agents made is looked at too."""
        if not self._is_disarmed:
            await self._disarm()
            self._is_disarmed = True
        try:
            held = await self._held.held()
        except InvalidError:
            return  # an agent that may mount nothing holds nothing
        if not held:
            return
        await self._look_at_engine()
        making = set(self._making)
        api, call = self._connection.api, self._connection.call
        listed = await call(api.containers, all=True, filters={"label": FOLDERS})
        sockets = await call(api.containers, all=True, filters={"label": SOCKET})
        there = {name.lstrip("/") for item in [*listed, *sockets] for name in item.get("Names") or []}
        for item in sockets:
            if name_of(item) in set(held) - making:
                await self._sockets.take_up(item)
        for name in set(held) - making - there:
            await self.release(name)
            log.info("the host folders of %s, which is gone, are held no more", name)

    async def _disarm(self) -> None:
        """Takes the engine's own restart policy from containers of older agents, whose host paths nobody holds."""
        api, call = self._connection.api, self._connection.call
        for item in await call(api.containers, all=True, filters={"label": f"{LABEL}node={self._node}"}):
            if all(mount.get("Type") != "bind" for mount in item.get("Mounts") or []):
                continue
            with suppress(GoneError):
                found = await call(api.inspect_container, item["Id"])
                host = found["HostConfig"]
                if unheld_path(host) and host.get("RestartPolicy", {}).get("Name") not in ("", "no"):
                    policy: Any = {"Name": "no", "MaximumRetryCount": 0}
                    await call(api.update_container, item["Id"], restart_policy=policy)
                    log.warning("%s has host paths by an older agent: nothing starts it again", found["Name"])

    async def _look_at_engine(self) -> None:
        if not self._root:
            info = await self._connection.call(self._connection.api.info)
            self._held.is_passed_by_users = any(
                name in option for option in info.get("SecurityOptions") or [] for name in NO_ROOT
            )
            self._root = info.get("DockerRootDir", "")

    def _check(self, folders: Sequence[HostFolder]) -> None:
        """The engine's own folder may be anywhere: whoever has it has all containers."""
        for folder in folders:
            for own in (self._root, RUNTIME_FOLDER):
                if own and (is_at_or_below(folder.source, own) or is_at_or_below(own, folder.source)):
                    raise PolicyError(f"host path {folder.source} reaches {own}, which no container may have")

    async def _compare(self, own_id: str, folders: Sequence[HostFolder]) -> None:
        """Raises PolicyError where a container that runs could replace one of the folders, or the other way round."""
        for item in await self._connection.call(self._connection.api.containers, filters={"label": f"{LABEL}node"}):
            found = None if item["Id"] == own_id else clash(folders, folders_from_list(item))
            if found is not None:
                name = name_of(item)
                raise PolicyError(
                    f"host path {found[0].source}, which a container may write to, holds {found[1].source} of another "
                    f"one, and {name} runs",
                    hint=f"mount {found[0].source} read-only, mount the same path in both, or stop {name}",
                )


def _check_held(made: Made) -> None:
    if made.unheld:
        raise PolicyError(
            f"host path {made.unheld} is not held: the container was made by an agent of an older version",
            hint="make it anew: `gamekeeper instance update` for an instance, another run for a step",
        )
