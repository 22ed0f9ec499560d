"""The codec of the control worker, from files that the api writes: it waits for them, for the api may come up later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from control_worker.settings import ControlWorkerSettings
from control_worker.steps_key import StepsKey
from gamekeeper.backoff import Backoff
from gamekeeper.logging import get_logger
from gamekeeper.temporal.proofs import ControlCodec, ProvingCodec, WorkKey
from gamekeeper.temporal.signed_inputs import SigningCodec

log = get_logger(__name__)


async def control_codec(settings: ControlWorkerSettings) -> ControlCodec:
    """Raises InvalidError for a file that can't be read."""
    steps = StepsKey(settings.steps_certificate, settings.steps_key)
    work = WorkKey(settings.work_key)
    await _until(lambda: steps.is_there, f"the key that signs steps, in {settings.steps_key}")
    await _until(lambda: work.is_complete, f"the secret that proves work, in {settings.work_key}")
    return ControlCodec(SigningCodec(steps.signer), ProvingCodec(work.read()), work.earlier())


async def _until(is_there: Callable[[], bool], awaited: str) -> None:
    backoff = Backoff(initial=0.1, maximum=2)
    while not is_there():
        if backoff.failures == 5:
            log.warning("waiting for the api process to make %s", awaited)
        await asyncio.sleep(backoff.next_delay())
