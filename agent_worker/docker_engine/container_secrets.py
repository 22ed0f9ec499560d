"""Secrets of this node's containers: their files are written before each start, and their values are known for as long
as a container is there, so that nothing that it says shows one.

An agent that was started anew finds the values where the containers have them: in the engine and in the files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import GoneError
from agent_worker.docker_engine.host_mounts import NO_ROOT
from agent_worker.docker_engine.inspected import Made
from agent_worker.docker_engine.owner_labels import LABEL
from agent_worker.docker_engine.secret_config import (
    NAMED,
    file_secrets,
    named_by_label,
    secret_files,
    secret_variables,
    variables_of,
)
from agent_worker.docker_engine.starting import check_free, is_up
from agent_worker.engine_socket.project import name_of
from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.secret_files import SecretFiles
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.backoff import Backoff
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.named_secret import NamedSecret
from gamekeeper.errors import GamekeeperError, SecretError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import NewContainer

log = get_logger(__name__)


class ContainerSecrets:
    def __init__(self, node: str, connection: EngineConnection, view: EngineView, held: SecretsOfContainers) -> None:
        self._node = node
        self._connection = connection
        self._files = SecretFiles(node, view)
        self._held = held
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        held.asked = self._ask
        self._making: set[str] = set()
        self._creating = asyncio.Lock()
        self._has_root: bool | None = None

    def paths(self, name: str, spec: Container) -> list[str]:
        return [self._files.path(name, index) for index in range(len(file_secrets(spec.secrets)))]

    @asynccontextmanager
    async def made(self, new: NewContainer) -> AsyncIterator[None]:
        """Has the values ready for a container that is being made; lets go of them when that fails. Raises
        NameTakenError for one that is there: what it has stays its own. Raises SecretError."""
        named, name = new.spec.secrets, new.owner.key.container_name
        if not named:
            yield
            return
        secret_variables(named, new.values)  # before anything is written
        async with self._creating:
            await self._connection.call(check_free, self._connection, name)
            self._making.add(name)
            try:
                self._hold(name, new.values)
                await self._write(name, new.spec.secrets, new.values)
                yield
            except GamekeeperError:
                await self.release(name)
                raise
            finally:
                self._making.discard(name)

    async def renew(self, made: Made, values: Mapping[str, bytes]) -> None:
        """Writes the files of a container anew that does not run. Raises SecretError."""
        if not made.secrets or await self._connection.call(is_up, self._connection, made.info.id):
            return
        if made.info.name not in self._known:  # what it wrote with its earlier values may not be read yet
            await self.know(made.info.name)
        self._hold(made.info.name, values)
        await self._write(made.info.name, made.secrets, values)

    async def keeps(self, container_id: str, values: Mapping[str, bytes] | None) -> bool:
        inspected = await self._inspect(container_id)
        if inspected is None:
            return False
        named = named_by_label(inspected["Config"].get("Labels") or {})
        if values is not None:
            return variables_of(inspected, named) == secret_variables(named, values)
        count = len(file_secrets(named))
        return not count or len(await self._files.read(_name(inspected), count)) == count

    async def know(self, name: str) -> None:
        """Finds the values of a container of an earlier agent. Where some are lost, as when the machine was started
        anew, nobody can hide them, and all that it writes is hidden."""
        inspected = await self._inspect(name)
        if inspected is None or name in self._known:
            return
        named = named_by_label(inspected["Config"].get("Labels") or {})
        variables = [value.encode() for value in variables_of(inspected, named).values()]
        files = await self._files.read(name, len(file_secrets(named)))
        if name in self._known:  # it was given new ones meanwhile
            return
        if len(variables) + len(files) < len(named):
            self._held.withhold(name)
        else:
            self._held.hold(name, [*variables, *files])
            self._known.add(name)

    def _ask(self, name: str) -> None:
        """Somebody waits for the values of a container."""
        task = asyncio.ensure_future(self._know_at_last(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _know_at_last(self, name: str) -> None:
        backoff = Backoff()
        while True:
            try:
                await self.know(name)
                return
            except GamekeeperError as error:
                log.warning("the secrets of %s are not known yet: %s", name, error)
                await asyncio.sleep(backoff.next_delay())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def release(self, name: str) -> None:
        """Forgets the values of a container that was removed, and takes its files away."""
        self._known.discard(name)
        self._held.release(name)
        await self._files.release(name)

    async def take_up(self) -> None:
        """Finds the values of containers of an earlier agent, and takes the files away that no container has."""
        filters = {"label": [NAMED, f"{LABEL}node={self._node}"]}
        there = await self._files.held()
        listed = await self._connection.call(self._connection.api.containers, all=True, filters=filters)
        names = {name_of(item) for item in listed}
        for name in names - self._known:
            await self.know(name)
        for name in set(there) - names - self._making:
            await self.release(name)

    def _hold(self, name: str, values: Mapping[str, bytes]) -> None:
        self._held.hold(name, list(values.values()))
        self._known.add(name)

    async def _write(self, name: str, named: Sequence[NamedSecret], values: Mapping[str, bytes]) -> None:
        files = secret_files(named, values)
        if files:
            await self._check_root()
            await self._files.write(name, files)

    async def _check_root(self) -> None:
        """An engine whose containers are of another user than root would need the files to be that user's."""
        if self._has_root is None:
            info = await self._connection.call(self._connection.api.info)
            options = info.get("SecurityOptions") or []
            self._has_root = not any(name in option for option in options for name in NO_ROOT)
        if not self._has_root:
            raise SecretError(
                "this node can hold no secrets as files: its Docker Engine is rootless, or has its own users",
                hint="give it as a variable: {secret: NAME, env: NAME}",
            )

    async def _inspect(self, container_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._connection.call(self._connection.api.inspect_container, container_id)
        except GoneError:
            return None
        return found


def _name(inspected: Mapping[str, Any]) -> str:
    return str(inspected["Name"]).lstrip("/")
