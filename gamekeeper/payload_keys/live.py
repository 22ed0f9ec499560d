"""The ring as a running process uses it: a changed file is taken within a second, without a restart.

The order is safe by two things. A key is in the file before any process can write with it, and a reader that meets a
key that it does not know looks at the file once more: so it finds every key that another process wrote with. And a new
key waits some time before it writes, for files that reach several machines one after another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gamekeeper.errors import ConflictError, InvalidError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.payload_keys.ring import PayloadKey, PayloadRing
from gamekeeper.payload_keys.ring_file import RingFile

log = get_logger(__name__)

LOOK_SECONDS = 1.0


class MissingKeyError(UnavailableError):
    """The ring has no such key. It may be restored, so trying again makes sense."""


class GivenUpKeyError(ConflictError):
    """Somebody gave the key up: what it wrote is lost for good."""


class PayloadKeys:
    """Raises InvalidError at once for a file that holds no ring; a file that is spoiled later leaves the ring as it
    was, and ``trouble`` has the words. ``monotonic`` gives seconds and never goes back."""

    def __init__(
        self,
        file: RingFile,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.file = file
        self.trouble = ""
        self._clock = clock
        self._monotonic = monotonic
        self._stamp = file.stamp()
        self._ring = file.read()
        self._looked_at = monotonic()

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def ring(self) -> PayloadRing:
        """The ring as it was a second ago, or later."""
        if self._monotonic() - self._looked_at >= LOOK_SECONDS:
            self.look()
        return self._ring

    def writer(self) -> PayloadKey | None:
        return self.ring.writer(self._clock())

    def reader(self, key_id: str) -> PayloadKey:
        """Raises MissingKeyError and GivenUpKeyError."""
        key = self.ring.find(key_id)
        if key is None:
            self.look()
            key = self._ring.find(key_id)
        if key is None:
            raise MissingKeyError(
                f"payload key {shown_id(key_id)} is not in {self.path.name}",
                hint="restore it from a backup; docs/payload-encryption.md says what can be done without it",
            )
        if key.given_up_at is not None:
            raise GivenUpKeyError(
                f"payload key {key.id} was given up by {key.given_up_by} at {key.given_up_at:%Y-%m-%d %H:%M} UTC: what "
                "was written with it can't be read any more"
            )
        return key

    def look(self) -> None:
        """Takes the file as it is now."""
        self._looked_at = self._monotonic()
        stamp = self.file.stamp()
        if stamp == self._stamp and not self.trouble:
            return
        try:
            self._ring = self.file.read()
        except InvalidError as error:
            if not self.trouble:
                log.warning("%s; the keys of before stay in use", error)
            self.trouble = str(error)
            return
        if self._stamp != stamp:
            log.info("the payload keys have changed: %s", ", ".join(key.id for key in self._ring.keys))
        self._stamp, self.trouble = stamp, ""

    def forget(self) -> None:
        """The next question reads the file, as after a change of this process's own."""
        self._looked_at = -math.inf


def shown_id(key_id: str) -> str:
    """A key's id from a payload that anybody may have written, short and in one line."""
    return "".join(letter if letter.isalnum() or letter == "-" else "?" for letter in key_id[:40]) or "without a name"
