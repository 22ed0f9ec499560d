"""The api's payload keys at its start: made where there are none, and told of where they are gone."""

from __future__ import annotations

from datetime import timedelta

from api.settings import ApiSettings
from gamekeeper.logging import get_logger
from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.temporal.sealed_payloads import PayloadSeals
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

UPGRADE = timedelta(seconds=60)  # in which gateway and control worker of a version before have been replaced, too


def payload_seals(settings: ApiSettings) -> PayloadSeals:
    """Raises InvalidError for a file that holds no keys, UnavailableError where none can be made.

    A control plane that was there before this version begins in clear, for a minute: its other processes could not read
    anything else. Whether that was so is known by a file beside the secret that proves work.
    """
    ring, begun = settings.payload_ring(), settings.work_key.with_name("payloads.begun")
    is_upgrade = settings.work_key.exists() and not begun.exists()
    if begun.exists() and not ring.is_there:
        log.error(
            "the payload keys in %s are gone, and new ones are made: what was encrypted with those of before can't be "
            "read until the file is restored from a backup",
            ring.path,
        )
    ring.ensure(in_clear_for=UPGRADE if is_upgrade else None)
    if not begun.exists():
        write_whole(begun, "payloads have been encrypted since this file was written\n")
    return PayloadSeals(PayloadKeys(ring))
