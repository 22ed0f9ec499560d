"""Hooks: commands inside the running container. One that hangs is ended at its own limit."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from gamekeeper.domain.instance.spec import Hook
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, StartError
from gamekeeper.ports.engine_console import EngineConsole

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept

KEPT_BYTES = 300  # of its output


async def after_start(kept: Kept, info: ContainerInfo, start: str) -> str | None:
    """Runs the hook once for each start; the words of its failure. A kill of the agent may leave it half done, and it
    is not begun a second time."""
    hook = kept.order.spec.hooks.post_start
    if hook is None or kept.memory.hooked == start:
        return None
    await kept.remember(kept.memory.but(hooked=start))
    return await run_hook(kept, info, hook, "post_start")


async def run_hook(kept: Kept, info: ContainerInfo, hook: Hook, name: str) -> str | None:
    """The words of its failure; None when it ended well."""
    assert info.owner is not None
    size = ConsoleSize()
    request = ConsoleRequest(uuid.uuid4().hex, info.owner.key, tuple(hook.command), tty=False, size=size)
    try:
        console = await kept.tools.engine.open_console(info.id, request)
    except StartError as error:
        return f"hook {name} can't be started: {error}"
    try:
        async with asyncio.timeout(parse_duration(hook.timeout).total_seconds()):
            return await _outcome(console, name)
    except TimeoutError:
        return f"hook {name} was ended: it took more than {hook.timeout}"
    except UnavailableError as error:
        return f"hook {name} broke off: {error}"
    finally:
        with suppress(GamekeeperError):
            await asyncio.shield(console.close())


async def _outcome(console: EngineConsole, name: str) -> str | None:
    output = b""
    with suppress(UnavailableError):
        await console.end_input()
    while (text := await console.read()) is not None:
        output = (output + text.data)[-KEPT_BYTES:]
    exit_code = await console.exit_code()
    if exit_code == 0:
        return None
    words = output.decode(errors="replace").strip().splitlines()
    return f"hook {name} ended with exit code {exit_code}" + (f": {words[-1]}" if words else "")
