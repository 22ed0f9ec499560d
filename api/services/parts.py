"""The parts that the api stands on, and the state of each."""

from __future__ import annotations

from pathlib import Path

from api.services.access.certificate_ends import CertificateEnds
from api.services.run.dispatch import RunDispatcher
from gamekeeper.db.engine import Database
from gamekeeper.disk import full_disk, nearest_room
from gamekeeper.errors import GamekeeperError

OK = "ok"


class Parts:
    """``needed`` are those without which no request can be served, or no run goes on. With a full log store all goes on
    but logs, which wait on their nodes; a certificate near its end is told in time."""

    needed = ("database", "temporal", "control_worker")

    def __init__(
        self, database: Database, dispatcher: RunDispatcher, logs_dir: Path, certificates: CertificateEnds
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._logs_dir = logs_dir
        self.certificates = certificates

    async def ask(self) -> dict[str, str]:
        """``ok``, or the trouble, by the part's name."""
        asked = {
            "database": self._database.ping,
            "temporal": self._dispatcher.ping,
            "control_worker": self._dispatcher.ping_control_workers,
            "log_store": self._look_at_logs,
            "certificates": self.certificates.check,
        }
        found = {}
        for name, ping in asked.items():
            try:
                await ping()
                found[name] = OK
            except GamekeeperError as error:
                found[name] = str(error)
        return found

    async def _look_at_logs(self) -> None:
        room = nearest_room(self._logs_dir)
        if room.is_full:
            raise full_disk(f"{room}, and step logs are on it")
