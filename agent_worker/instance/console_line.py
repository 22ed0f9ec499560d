"""Types a line of a schedule into an instance's console, at most once: its number is remembered before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_worker.instance.sight import look
from gamekeeper.domain.instance.memory import Life
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.errors import ConflictError, PolicyError, UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, StartError

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept

MAX_REMEMBERED = 50  # schedules, of which an instance has fewer at a time


async def type_line(kept: Kept, line: ConsoleLine) -> None:
    """Raises as ``InstanceKeeper.type_in`` does."""
    info = await _running(kept, line)
    known = kept.memory.typed.get(line.schedule, 0)
    if line.number < known:
        raise PolicyError(f"an older line of schedule {line.schedule}: this node has typed a newer one")
    if line.number == known:
        raise ConflictError("the agent was interrupted at it: the line may have been typed, and is not typed again")
    newest = sorted((kept.memory.typed | {line.schedule: line.number}).items(), key=lambda item: item[1])
    await kept.remember(kept.memory.but(typed=dict(newest[-MAX_REMEMBERED:])))
    try:
        await kept.tools.engine.type_in(info.id, line.text.encode() + b"\n")
    except (StartError, UnavailableError) as error:
        raise ConflictError(f"its console takes no input: {error}") from error


async def _running(kept: Kept, line: ConsoleLine) -> ContainerInfo:
    """The container that takes the line: of two that run side by side the one that was told last."""
    sight, told = await look(kept.tools.engine, kept.record, kept.tools.boot), kept.record.status
    up = [(seen.revision, info) for info, seen in sight.found if seen.life is Life.UP]
    if not up:
        raise ConflictError(f"instance {line.instance} does not run")
    return next((info for revision, info in up if told is not None and revision == told.revision), up[0][1])
