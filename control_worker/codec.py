"""The codec of the control worker, from files that the api writes: it waits for them, for the api may come up later."""

from __future__ import annotations

from control_worker.settings import ControlWorkerSettings
from control_worker.steps_key import StepsKey
from gamekeeper.awaited import until_written
from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile
from gamekeeper.temporal.proofs import ControlCodec, ProvingCodec, WorkKey
from gamekeeper.temporal.sealed_payloads import PayloadSeals, SealingCodec
from gamekeeper.temporal.signed_inputs import SigningCodec


async def payload_seals(settings: ControlWorkerSettings) -> PayloadSeals:
    """Raises InvalidError for a file that holds no keys."""
    ring = RingFile(settings.payload_keys)
    await until_written(f"the keys that encrypt payloads, in {settings.payload_keys}", lambda: ring.is_there)
    return PayloadSeals(PayloadKeys(ring))


async def control_codec(settings: ControlWorkerSettings, seals: PayloadSeals) -> SealingCodec:
    """Raises InvalidError for a file that can't be read."""
    steps = StepsKey(settings.steps_certificate, settings.steps_key)
    work = WorkKey(settings.work_key)
    await until_written(f"the key that signs steps, in {settings.steps_key}", lambda: steps.is_there)
    await until_written(f"the secret that proves work, in {settings.work_key}", lambda: work.is_complete)
    inner = ControlCodec(SigningCodec(steps.signer), ProvingCodec(work.read()), work.earlier())
    return SealingCodec(inner, seals, is_of_a_worker=True)
