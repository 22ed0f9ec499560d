"""``python -m control_worker``: works until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from control_worker.alarms import build_alarms
from control_worker.bootstrap import build
from control_worker.codec import control_codec, payload_seals
from control_worker.settings import ControlWorkerSettings
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import wait_until_current
from gamekeeper.db.payload_trouble_log import SqlPayloadTroubleLog
from gamekeeper.errors import GamekeeperError
from gamekeeper.exit_status import exit_status
from gamekeeper.garbage import collect_seldom
from gamekeeper.liveness import run_answering
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.client import connect
from gamekeeper.temporal.namespace import wait_for_namespace
from gamekeeper.tracing import configure_tracing

log = get_logger("control_worker")

TELL_SECONDS = 5.0


async def work(settings: ControlWorkerSettings) -> None:
    await wait_until_current(settings.database_url)
    seals = await payload_seals(settings)
    codec = await control_codec(settings, seals)
    database = Database(settings.database_url)
    client = await connect(settings.temporal or None, codec=codec)
    await wait_for_namespace(client)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    troubles, told = SqlPayloadTroubleLog(database), Supervised("the troubles of payloads")
    telling = asyncio.create_task(told.forever(lambda: seals.tell(troubles, "control_worker"), TELL_SECONDS))
    alarms = build_alarms(settings, database, client)
    async with build(client, database, alarms.outbox), alarms.working():
        collect_seldom()
        log.info("working on workflows and control-plane activities")
        await stop.wait()
    telling.cancel()
    await database.close()
    await asyncio.sleep(0.2)


def main() -> None:
    configure_logging()
    status = 0
    try:
        settings = ControlWorkerSettings.from_environment()
        configure_logging(settings.log_level)
        configure_tracing("gamekeeper-control-worker")
        run_answering(work(settings))
    except GamekeeperError as error:
        log.error("%s", error)
        status = exit_status(error)
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
