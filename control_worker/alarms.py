"""The alarms' part of the control worker: rounds of judging, the outbox, and the dead man's switch outwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from control_worker.settings import ControlWorkerSettings
from gamekeeper.channels.address import AddressGuard, parse_networks
from gamekeeper.channels.senders import Senders
from gamekeeper.control_plane.alarm.heartbeats import Heartbeats
from gamekeeper.control_plane.alarm.outbox import AlarmLinks, SqlOutbox
from gamekeeper.control_plane.alarm.rounds import AlarmRounds
from gamekeeper.control_plane.alarm.starts import NotificationStarts
from gamekeeper.db.engine import Database
from gamekeeper.domain.alarm.link import link_key
from gamekeeper.sealing.key_file import KeyFile
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.notifications import NotificationWorkflows
from gamekeeper.temporal.proofs import WorkKey

ROUND_SECONDS = 0.5
HEARTBEATS_SECONDS = 5.0
SLOWEST_SECONDS = 5.0  # alarms are judged again soon after the database is back


@dataclass(frozen=True)
class Alarms:
    outbox: SqlOutbox
    rounds: AlarmRounds
    starts: NotificationStarts
    heartbeats: Heartbeats

    async def look(self) -> None:
        """A round, and what it has written goes out at once. What others have put in the outbox goes with it."""
        await self.rounds.look()
        if self.rounds.is_holder:
            await self.starts.look()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        rounds = Supervised("alarms").forever(self.look, ROUND_SECONDS, SLOWEST_SECONDS)
        beats = self.heartbeats.care.forever(self.heartbeats.look, HEARTBEATS_SECONDS)
        tasks = [asyncio.create_task(work) for work in (rounds, beats)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def build_alarms(settings: ControlWorkerSettings, database: Database, client: Client) -> Alarms:
    """Raises InvalidError for a setting that can't be read."""
    guard = AddressGuard(parse_networks(settings.channel_networks))
    links = AlarmLinks(link_key(WorkKey(settings.work_key).read()), settings.public_url)
    outbox = SqlOutbox(database, KeyFile(settings.channels_key), Senders(guard), links)
    rounds = AlarmRounds(database)
    starts = NotificationStarts(database, NotificationWorkflows(client))
    return Alarms(outbox, rounds, starts, Heartbeats(database, rounds, outbox))
