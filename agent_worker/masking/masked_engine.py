"""The engine as all see it that tell others of containers: no secret value is in what comes from it.

Consoles, outputs of steps, last words, health checks and the engine's own sentences come from here, whoever asks. Only
the follower of logs asks the engine itself: it finds its place by the lines as they are, and masks them later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from agent_worker.masking.masked_console import MaskedConsole
from agent_worker.masking.masked_lines import MaskedLines
from agent_worker.masking.masker import Masker, mask, mask_text
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.log.log import LogLine
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, NameTakenError, NewContainer, StartError
from gamekeeper.ports.engine_console import EngineConsole

HEALTH_LOG = 300  # characters that are told of it
UNKNOWN = "its secret values are not known to this node yet, and are to be masked in what it handed on"


def masked_engine(engine: ContainerEngine, secrets: SecretsOfContainers) -> ContainerEngine:
    return cast(ContainerEngine, _MaskedEngine(engine, secrets))


class _MaskedEngine:
    """All that it does not name itself carries no output, and is the engine's own (``UNMASKED`` of the tests)."""

    def __init__(self, engine: ContainerEngine, secrets: SecretsOfContainers) -> None:
        self._engine = engine
        self._secrets = secrets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def _masker(self, container_id: str) -> Masker | None:
        info = await self._engine.made(container_id)
        return self._secrets.masker_now(info.name, info.secrets) if info is not None else None

    async def create(self, new: NewContainer) -> str:
        with _masked_errors(self._secrets.masker(new.owner.key.container_name)):
            return await self._engine.create(new)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        with _masked_errors(await self._masker(container_id)):
            await self._engine.start(container_id, secrets)

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        info = await self._engine.find(name_or_id)
        return self._masked(info) if info is not None else None

    async def made(self, container_id: str) -> ContainerInfo | None:
        info = await self._engine.made(container_id)
        return self._masked(info) if info is not None else None

    async def list_owned(self, *, run_id: str = "", step: str = "") -> Sequence[ContainerInfo]:
        return [self._masked(info) for info in await self._engine.list_owned(run_id=run_id, step=step)]

    async def list_instances(self) -> Sequence[ContainerInfo]:
        return [self._masked(info) for info in await self._engine.list_instances()]

    def _masked(self, info: ContainerInfo) -> ContainerInfo:
        if not info.error and not info.health_log:
            return info
        masker = self._secrets.masker_now(info.name, info.secrets)
        health_log = mask_text(masker, info.health_log)[-HEALTH_LOG:]
        return replace(info, error=mask_text(masker, info.error), health_log=health_log)

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        """The first one may be a part of a line, in which a value ends that begins in the part before."""
        masked = MaskedLines(await self._masker(container_id))
        kept = masked.take(await self._engine.last_log_lines(container_id, count + 1))[1]
        return [*kept, *masked.settle()[1]][-count:]

    async def read_outputs(self, container_id: str) -> bytes:
        """Raises UnavailableError while the values are not known, for these outputs are read once."""
        info = await self._engine.made(container_id)
        if info is not None and info.secrets and self._secrets.masker(info.name) is None:
            self._secrets.asked(info.name)
            raise UnavailableError(UNKNOWN)
        masker = self._secrets.masker(info.name) if info is not None else None
        return mask(masker, await self._engine.read_outputs(container_id))

    async def open_console(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        masker = await self._masker(container_id)
        with _masked_errors(masker):
            console = await self._engine.open_console(container_id, request)
        return console if masker is None else MaskedConsole(console, masker)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> EngineConsole:
        masker = await self._masker(container_id)
        with _masked_errors(masker):
            console = await self._engine.look_in(container_id, request)
        return console if masker is None else MaskedConsole(console, masker)

    async def type_in(self, container_id: str, data: bytes) -> None:
        with _masked_errors(await self._masker(container_id)):
            await self._engine.type_in(container_id, data)


@contextmanager
def _masked_errors(masker: Masker | None) -> Iterator[None]:
    """The engine's sentences quote what it was given. An error that quotes a value has no cause that does."""
    try:
        yield
    except NameTakenError:
        raise
    except (GamekeeperError, StartError) as error:
        if masker is None or mask_text(masker, str(error)) == str(error):
            raise
        if isinstance(error, StartError):
            raise StartError(mask_text(masker, str(error))) from None
        raise type(error)(mask_text(masker, error.message), hint=mask_text(masker, error.hint)) from None
