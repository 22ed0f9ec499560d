"""``python -m api``: migrates the database, then serves REST and the node link until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from api.bootstrap import ApiProcess, build
from api.garbage import collect_seldom
from api.https import RestServer
from api.services.run.earlier_work import take_over_earlier_work
from api.settings import ApiSettings
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.errors import GamekeeperError, InvalidError
from gamekeeper.exit_status import exit_status
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.temporal.client import connect
from gamekeeper.temporal.namespace import ensure_namespace
from gamekeeper.temporal.proofs import ProvingCodec, WorkKey
from gamekeeper.temporal.search_attributes import SearchAttributes
from gamekeeper.tracing import configure_tracing

log = get_logger("api")


async def serve(settings: ApiSettings) -> None:
    await asyncio.to_thread(upgrade, settings.database_url)
    database = Database(settings.database_url)
    work_key = WorkKey(settings.work_key)
    client = await connect(settings.temporal or None, codec=ProvingCodec(work_key.ensure()))
    await ensure_namespace(client, settings.temporal_retention_days)
    await SearchAttributes(client).ensure()
    process = build(settings, database, client)
    await take_over_earlier_work(client, process.services.schedules, work_key)
    await _ensure_admin(settings, process)
    for service in (process.presence, process.conditions, process.enrolment):
        await service.load()
    collect_seldom()
    await process.link_server.start()
    background = [loop.start() for loop in process.loops]
    server = RestServer(process.app, settings.rest_host, settings.rest_port, process.services.rest_certificate)
    serving = asyncio.create_task(server.serve())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("serving REST on %s:%d", settings.rest_host, settings.rest_port)
    log.info("serving the node link on %s:%d", settings.grpc_host, process.link_server.port)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
    for task in background:
        task.cancel()
    server.stop()
    await process.link_server.stop()
    await database.close()
    if not stop.is_set():
        raise SystemExit("the HTTP server or a background task ended; see the log above")


async def _ensure_admin(settings: ApiSettings, process: ApiProcess) -> None:
    key = settings.admin_key
    if settings.admin_key_file is not None and settings.admin_key_file.exists():
        key = settings.admin_key_file.read_text().strip()
    if key and len(key) < 32:
        raise InvalidError("GAMEKEEPER_ADMIN_KEY is shorter than 32 characters", hint="make one: openssl rand -hex 32")
    if key:
        await process.services.keys.ensure_admin(key)


def main() -> None:
    configure_logging()
    status = 0
    try:
        settings = ApiSettings.from_environment()
        configure_logging(settings.log_level)
        logging.getLogger("_granian").setLevel(logging.WARNING)
        configure_tracing("gamekeeper-api")
        asyncio.run(serve(settings))
    except GamekeeperError as error:
        log.error("%s", error)
        status = exit_status(error)
    # The SDK's core can crash in the interpreter's finalization; all there is to flush is flushed.
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
