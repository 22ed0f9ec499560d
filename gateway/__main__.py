"""``python -m gateway``: serves Temporal to agents until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from gamekeeper.awaited import until_written
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import wait_until_current
from gamekeeper.db.node_directory import SqlNodeDirectory
from gamekeeper.db.payload_trouble_log import SqlPayloadTroubleLog
from gamekeeper.errors import GamekeeperError
from gamekeeper.exit_status import exit_status
from gamekeeper.garbage import collect_seldom
from gamekeeper.liveness import run_answering
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.payload_keys.ring_file import RingFile
from gateway.bootstrap import build
from gateway.settings import GatewaySettings

log = get_logger("gateway")


async def serve(settings: GatewaySettings) -> None:
    await wait_until_current(settings.database_url)
    files = (settings.gateway_certificate, settings.gateway_key, settings.gateway_roots)
    await until_written(
        f"the gateway's certificate, in {settings.gateway_certificate}", lambda: all(path.exists() for path in files)
    )
    keys = RingFile(settings.payload_keys)
    await until_written(f"the keys that encrypt payloads, in {keys.path}", lambda: keys.is_there)
    database = Database(settings.database_url)
    process = build(settings, SqlNodeDirectory(database), SqlPayloadTroubleLog(database))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collect_seldom()
    await process.server.start()
    log.info("serving Temporal to agents on %s:%d", settings.gateway_host, process.port)
    stopping = asyncio.create_task(stop.wait())
    loops = [asyncio.create_task(work) for work in process.loops()]
    await asyncio.wait({stopping, *loops}, return_when=asyncio.FIRST_COMPLETED)
    for task in loops:
        task.cancel()
    await process.stop()
    await database.close()
    if not stop.is_set():
        raise SystemExit("a background task of the gateway ended; see the log above")


def main() -> None:
    configure_logging()
    status = 0
    try:
        settings = GatewaySettings.from_environment()
        configure_logging(settings.log_level)
        run_answering(serve(settings))
    except GamekeeperError as error:
        log.error("%s", error)
        status = exit_status(error)
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
