"""Payloads that could not be read, written to the database for the api to tell."""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.payload_trouble import PayloadTroubleRepository
from gamekeeper.domain.access.payload_trouble import PayloadTrouble


class SqlPayloadTroubleLog:
    """Satisfies ``PayloadTroubleLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, reader: str, noted: Sequence[PayloadTrouble], over: Sequence[tuple[str, str]]) -> None:
        now = utc_now()
        async with self._database.write() as session:
            troubles = PayloadTroubleRepository(session)
            for trouble in noted:
                await troubles.note(reader, trouble, now)
            for subject, key_id in over:
                await troubles.take_away(reader, subject, key_id)
