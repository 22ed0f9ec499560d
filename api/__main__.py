"""``python -m api``: migrates the database, then serves REST and the node link until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal

from api.bootstrap import build
from api.given_key import ensure_given_key
from api.https import RestServer
from api.services.access.payload_seals import payload_seals
from api.services.run.earlier_work import take_over_earlier_work
from api.settings import ApiSettings
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.errors import GamekeeperError
from gamekeeper.exit_status import exit_status
from gamekeeper.garbage import collect_seldom
from gamekeeper.liveness import run_answering
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.no_core_dumps import leave_no_core_dumps
from gamekeeper.temporal.client import connect
from gamekeeper.temporal.namespace import ensure_namespace
from gamekeeper.temporal.proofs import ProvingCodec, WorkKey
from gamekeeper.temporal.sealed_payloads import SealingCodec
from gamekeeper.temporal.search_attributes import SearchAttributes
from gamekeeper.tracing import configure_tracing

log = get_logger("api")

FILES_BESIDE = 24_576  # connections of the node link, databases, logs


async def serve(settings: ApiSettings) -> None:
    await asyncio.to_thread(upgrade, settings.database_url)
    database = Database(settings.database_url)
    seals, work_key = payload_seals(settings), WorkKey(settings.work_key)
    client = await connect(settings.temporal or None, codec=SealingCodec(ProvingCodec(work_key.ensure()), seals))
    await ensure_namespace(client, settings.temporal_retention_days)
    await SearchAttributes(client).ensure()
    process = build(settings, database, client, seals)
    services = process.services
    await take_over_earlier_work(client, services.schedules, services.instances.schedules, work_key)
    await ensure_given_key(services.key_ring, settings.admin_key, settings.admin_key_file)
    for service in (process.presence, process.conditions, process.enrolment):
        await service.load()
    collect_seldom()
    await process.link_server.start()
    background = [loop.start() for loop in process.loops]
    server = RestServer(
        process.app,
        settings.rest_host,
        settings.rest_port,
        process.services.rest_certificate,
        proxies=settings.proxies(),
        connections=settings.rest_connections,
    )
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


def _allow_files(wanted: int) -> None:
    """Each connection is an open file, and the usual limit is 1024: without one left, no database could be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def main() -> None:
    leave_no_core_dumps()
    configure_logging()
    status = 0
    try:
        settings = ApiSettings.from_environment()
        configure_logging(settings.log_level)
        _allow_files(settings.rest_connections + FILES_BESIDE)
        logging.getLogger("_granian").setLevel(logging.WARNING)
        configure_tracing("gamekeeper-api")
        run_answering(serve(settings))
    except GamekeeperError as error:
        log.error("%s", error)
        status = exit_status(error)
    # The SDK's core can crash in the interpreter's finalization; all there is to flush is flushed.
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
