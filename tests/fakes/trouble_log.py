"""Payloads that could not be read, written down in memory."""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from gamekeeper.errors import UnavailableError


class FakeTroubleLog:
    """Satisfies ``PayloadTroubleLog``."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], PayloadTrouble] = {}
        self.is_away = False

    async def write(self, reader: str, noted: Sequence[PayloadTrouble], over: Sequence[tuple[str, str]]) -> None:
        if self.is_away:
            raise UnavailableError("the database is away")
        for trouble in noted:
            self.rows[reader, trouble.subject, trouble.key_id] = trouble
        for subject, key_id in over:
            self.rows.pop((reader, subject, key_id), None)
