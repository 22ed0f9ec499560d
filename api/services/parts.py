"""The parts that the api stands on, and the state of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from api.services.access.certificate_ends import CertificateEnds
from api.services.access.payload_key import PayloadKeyService
from api.services.gateway_look import GatewayLook
from api.services.run.dispatch import RunDispatcher
from api.services.secret.key_rotation import KeyRotation
from gamekeeper.db.engine import Database
from gamekeeper.disk import DiskFloor, full_disk, nearest_room
from gamekeeper.errors import GamekeeperError

OK = "ok"
PATIENCE_SECONDS = 4.0


class Parts:
    """``needed`` are those without which no request can be served, or no run goes on. With a full log store all goes on
    but logs, which wait on their nodes, and with a disk that is nearly full all but logs and new work. A certificate
    near its end is told in time, a lost master key of secrets at once, and so are histories that can't be read for want
    of a key. ``gateway`` is None where agents dial Temporal itself."""

    needed = ("database", "temporal", "control_worker", "gateway")

    def __init__(
        self,
        database: Database,
        dispatcher: RunDispatcher,
        logs_dir: Path,
        floor: DiskFloor,
        certificates: CertificateEnds,
        secrets: KeyRotation,
        gateway: GatewayLook | None,
        payloads: PayloadKeyService,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._logs_dir = logs_dir
        self.floor = floor
        self.certificates = certificates
        self._secrets = secrets
        self._gateway = gateway
        self._payloads = payloads
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def ask(self) -> dict[str, str]:
        """``ok``, or the trouble, by the part's name. A part that is frozen holds up no answer: it is told as such, and
        nobody asks it again until it has answered."""
        asked: dict[str, Callable[[], Awaitable[None]]] = {
            "database": self._database.ping,
            "temporal": self._dispatcher.ping,
            "control_worker": self._dispatcher.ping_control_workers,
            "log_store": self._look_at_logs,
            "disk": self._look_at_disks,
            "certificates": self.certificates.check,
            "secrets": self._secrets.check,
            "payloads": self._payloads.look,
        }
        if self._gateway is not None:
            asked["gateway"] = self._gateway.look
        for name, ping in asked.items():
            if name not in self._asking:
                self._asking[name] = asyncio.create_task(_state(ping))
        mine = {name: self._asking[name] for name in asked}
        await asyncio.wait(mine.values(), timeout=PATIENCE_SECONDS)
        for name, task in mine.items():
            if task.done() and self._asking.get(name) is task:
                del self._asking[name]
        return {name: task.result() if task.done() else _silent() for name, task in mine.items()}

    async def _look_at_logs(self) -> None:
        room = nearest_room(self._logs_dir)
        if room.is_full:
            raise full_disk(f"{room}, and step logs are on it")

    async def _look_at_disks(self) -> None:
        self.check_room()

    def check_room(self) -> None:
        """Raises UnavailableError while a disk is so full that no new work is taken."""
        if trouble := self.floor.trouble():
            raise full_disk(f"no new work and no logs are taken: {trouble}")


async def _state(ping: Callable[[], Awaitable[None]]) -> str:
    try:
        await ping()
    except GamekeeperError as error:
        return str(error)
    return OK


def _silent() -> str:
    return f"does not answer within {PATIENCE_SECONDS:.0f} s"
