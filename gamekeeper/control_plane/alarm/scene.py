"""All that a round of judging looks at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.alarm.config import read_channels, read_mutes, read_rules
from gamekeeper.control_plane.alarm.happened import Happened
from gamekeeper.db.models import AlarmRow, NotificationRow
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.db.repositories.channel import NotificationRepository
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.alarm.channel import ReadChannel
from gamekeeper.domain.alarm.mute import Mute
from gamekeeper.domain.alarm.notice import BURST_TIME
from gamekeeper.domain.alarm.rule import ReadRule
from gamekeeper.domain.alarm.subject import Facts


@dataclass(frozen=True)
class Observed:
    """Facts of objects, and what happened to them, looked up once for a round. ``is_whole`` tells that
    the facts are of all objects, so that one without any is gone."""

    facts: Sequence[Facts] = ()
    nodes: Mapping[str, Target] = field(default_factory=dict)
    happened: Sequence[Happened] = ()
    is_whole: bool = False


@dataclass(frozen=True)
class Scene:
    """``live`` are the alarms that stand, ``taken`` the keys of those that can't be read. ``late`` counts the messages
    of each channel in the last minute, and ``gathering`` has the digests that still take more."""

    observed: Observed
    rules: Mapping[str, ReadRule]
    channels: Mapping[str, ReadChannel]
    mutes: Sequence[Mute]
    live: Sequence[AlarmRow]
    taken: Collection[str]
    late: Mapping[str, int]
    gathering: Mapping[str, NotificationRow]


async def read_scene(session: AsyncSession, observed: Observed, now: datetime, *, is_locked: bool = False) -> Scene:
    live, taken = await AlarmRepository(session).live(is_locked=is_locked)
    notifications = NotificationRepository(session)
    return Scene(
        observed=observed,
        rules=await read_rules(session),
        channels=await read_channels(session),
        mutes=await read_mutes(session, now),
        live=live,
        taken=taken,
        late=await notifications.of_late(now - BURST_TIME),
        gathering=await notifications.gathering(),
    )
