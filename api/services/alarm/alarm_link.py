"""Links of messages: whoever has the message may acknowledge or silence its alarm, once they say so."""

from __future__ import annotations

from dataclasses import dataclass

from api.services.alarm.alarm import AlarmService
from gamekeeper.actor import set_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.models import AlarmRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.alarm import AlarmRepository
from gamekeeper.domain.alarm.link import LINK_SILENCE, AlarmLink, LinkPurpose, read_token
from gamekeeper.errors import NotFoundError


@dataclass(frozen=True)
class SeenLink:
    link: AlarmLink
    row: AlarmRow


class AlarmLinkService:
    def __init__(self, database: Database, alarms: AlarmService, key: bytes) -> None:
        self._database = database
        self._alarms = alarms
        self._key = key

    async def look(self, token: str) -> SeenLink:
        """Changes nothing: previews of links ask for it. Raises NotFoundError for one that is not ours or has run
        out, and for an alarm that is gone."""
        link = read_token(self._key, token, utc_now())
        async with self._database.read() as session:
            row = await AlarmRepository(session).find(link.alarm)
        if row is None:
            raise NotFoundError("the alarm of this link is gone")
        return SeenLink(link, row)

    async def act(self, token: str, address: str) -> SeenLink:
        """Does the one thing that the link is for. Raises as ``look``, and ConflictError for an alarm that is over."""
        seen = await self.look(token)
        set_actor(f"link:{seen.link.channel}", "", address, "")
        note = f"by the link in a message of the channel {seen.link.channel}"
        if seen.link.purpose is LinkPurpose.ACKNOWLEDGE:
            await self._alarms.acknowledge(seen.link.alarm, note)
        elif not seen.row.muted:
            await self._alarms.silence(seen.link.alarm, LINK_SILENCE, note)
        return await self.look(token)
