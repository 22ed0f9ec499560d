"""Facts about the server itself that the api alone knows: written down for those who judge alarms."""

from __future__ import annotations

from api.services.access.certificate_ends import CertificateEnds
from gamekeeper.db.engine import Database
from gamekeeper.db.models import ServerFactRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import UnavailableError

CERTIFICATES = "server.certificates"


class ServerFacts:
    def __init__(self, database: Database, ends: CertificateEnds) -> None:
        self._database = database
        self._ends = ends

    async def look(self) -> None:
        """A round. Raises UnavailableError where the database is away."""
        value, words = "good", ""
        try:
            await self._ends.check()
        except UnavailableError as error:
            value, words = "near_end", error.message
        async with self._database.write() as session:
            row = await session.get(ServerFactRow, CERTIFICATES)
            if row is None:
                row = ServerFactRow(name=CERTIFICATES)
                session.add(row)
            row.value, row.words, row.at = value, words[:500], utc_now()
