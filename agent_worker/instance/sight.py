"""The containers of one instance as the engine tells them now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent_worker.instance.journal import Record
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.instance.memory import Life, Memory, Seen
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus

_UP = (ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.RESTARTING)
ADOPTED_REVISION = 1


@dataclass(frozen=True)
class Sight:
    """The containers, each with the revision that it is of. ``leaving``: those that the engine is removing, which have
    their names, volumes and networks until it is done. ``is_being_removed``: the kept one's is among them, so that
    nothing can be made in its place. ``at``: all of it was so then, or later."""

    found: Sequence[tuple[ContainerInfo, Seen]]
    leaving: Sequence[ContainerInfo] = ()
    is_being_removed: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def seen(self) -> list[Seen]:
        return [seen for _, seen in self.found]

    @property
    def infos(self) -> list[ContainerInfo]:
        return [info for info, _ in self.found]

    def info(self, container_id: str) -> ContainerInfo:
        return next(info for info in self.infos if info.id == container_id)

    def revision_of(self, container_id: str) -> int | None:
        return next((seen.revision for _, seen in self.found if seen.id == container_id), None)

    def and_made(self, info: ContainerInfo, revision: int) -> Sight:
        """With a container that was made a moment ago: the engine need not be asked for what is known."""
        return Sight([*self.found, (info, Seen(info.id, revision, Life.NEW))], at=self.at)

    def info_or_none(self, container_id: str) -> ContainerInfo | None:
        return next((info for info in self.infos if info.id == container_id), None)

    def ready_beside(self, container_id: str, ready: str) -> ContainerInfo | None:
        """The other container, if its start is the one that is ``ready``."""
        ups = [(info, seen) for info, seen in self.found if seen.life is Life.UP and seen.id != container_id]
        return next((info for info, seen in ups if ready and seen.start == ready), None)


def keys_of(record: Record) -> dict[str, tuple[ContainerKey, int]]:
    """The names of the containers that may be there, with their keys and revisions."""
    found: dict[str, tuple[ContainerKey, int]] = {}
    for order in (record.order, record.before):
        if order is None:
            continue
        found[order.key.container_name] = (order.key, order.revision)
    for revision in record.memory.revisions:
        key = InstanceKey(instance=record.order.instance, revision=revision)
        found[key.container_name] = (key, revision)
    if (adopted := record.memory.adopted) is not None:
        found[adopted.container_name] = (adopted, ADOPTED_REVISION)
    return found


async def look(engine: ContainerEngine, record: Record, boot: str) -> Sight:
    """``boot`` names the machine's present life."""
    keys, at = keys_of(record), datetime.now(UTC)
    infos = await asyncio.gather(*[engine.find(name) for name in keys])
    found, leaving, is_being_removed = [], [], False
    for info, (key, revision) in zip(infos, keys.values(), strict=True):
        if info is not None and info.owner is not None and info.owner.key == key:
            if info.status is not ContainerStatus.REMOVING:
                found.append((info, await _seen(engine, info, revision, record.memory, boot)))
                continue
            leaving.append(info)
            is_being_removed |= revision == record.kept.revision
    return Sight(found, leaving, is_being_removed, at)


async def _seen(engine: ContainerEngine, info: ContainerInfo, revision: int, memory: Memory, boot: str) -> Seen:
    start = start_of(info)
    life = Life.UP if info.status in _UP else Life.ENDED if info.started_at is not None else Life.NEW
    is_news = life is Life.ENDED and start not in (memory.judged, memory.stopping)
    # Clocks say nothing of it: that of a machine may be earlier after its restart than it was before.
    with_machine = is_news and memory.boot not in ("", boot)
    return Seen(
        id=info.id,
        revision=revision,
        life=life,
        start=start,
        exit_code=info.exit_code if life is Life.ENDED else None,
        oom=info.oom_killed,
        with_engine=is_news and not with_machine and await engine.ended_with_engine(info),
        with_machine=with_machine,
    )


def start_of(info: ContainerInfo) -> str:
    """The name of a container's newest start. Times of the same width sort by themselves."""
    return f"{info.started_at:%Y-%m-%dT%H:%M:%S.%f}/{info.id[:12]}" if info.started_at else ""
