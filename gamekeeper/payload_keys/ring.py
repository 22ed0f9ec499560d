"""The ring of payload keys: which key writes when, which ones read, and which were given up.

Rules alone: no file, no clock, no cipher. A key is known to readers from the moment it is in the ring, and writes from
``writes_from`` on: so every process can read it before any process writes with it.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from gamekeeper.errors import ConflictError, NotFoundError

KEY_BYTES = 32
MAX_KEYS = 100
ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$"
LATE = timedelta(seconds=60)  # a call that was on its way when the next key began to write


def _whole_secret(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError("a secret is base64") from error
    if size not in (0, KEY_BYTES):
        raise ValueError(f"a secret has {KEY_BYTES} bytes")
    return text


class PayloadKeyState(StrEnum):
    WRITES = "writes"
    READS = "reads"
    WAITS = "waits"  # for its time to write; it reads already
    GIVEN_UP = "given_up"


class PayloadKey(BaseModel):
    """``secret`` is base64, and empty of a key that was given up. ``given_up_by`` says who did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=ID_PATTERN)
    secret: Annotated[str, AfterValidator(_whole_secret)] = Field(repr=False)
    made_at: AwareDatetime
    writes_from: AwareDatetime
    given_up_at: AwareDatetime | None = None
    given_up_by: str = ""

    @model_validator(mode="after")
    def _has_a_secret(self) -> PayloadKey:
        if bool(self.secret) == (self.given_up_at is not None):
            raise ValueError("a key has a secret until it is given up")
        return self

    @property
    def is_good(self) -> bool:
        return self.given_up_at is None

    def secret_bytes(self) -> bytes:
        return base64.b64decode(self.secret)


class PayloadRing(BaseModel):
    """All keys, the oldest first. ``begins_in_clear`` is true of a ring that an upgrade made: until its first key
    writes, nothing is encrypted, because processes of the version before could not read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[PayloadKey, ...] = Field(min_length=1, max_length=MAX_KEYS)
    begins_in_clear: bool = False

    @model_validator(mode="after")
    def _is_sound(self) -> PayloadRing:
        ids = [key.id for key in self.keys]
        if len(set(ids)) != len(ids):
            raise ValueError("two keys have one id")
        if not any(key.is_good for key in self.keys):
            raise ValueError("no key of it is good")
        return self

    def find(self, key_id: str) -> PayloadKey | None:
        return next((key for key in self.keys if key.id == key_id), None)

    def get(self, key_id: str) -> PayloadKey:
        """Raises NotFoundError."""
        found = self.find(key_id)
        if found is None:
            raise NotFoundError(f'there is no payload key "{key_id}"', hint="gamekeeper payload-key ls lists them")
        return found

    def writer(self, now: datetime) -> PayloadKey | None:
        """The key that encrypts now; None while an upgrade is under way. A clock that was set back does not bring the
        times in clear again: the oldest key then writes."""
        good = [key for key in self.keys if key.is_good]
        due = [key for key in good if key.writes_from <= now]
        if due:
            return max(due, key=lambda key: key.writes_from)
        return None if self.begins_in_clear else min(good, key=lambda key: key.writes_from)

    def state(self, key: PayloadKey, now: datetime) -> PayloadKeyState:
        if not key.is_good:
            return PayloadKeyState.GIVEN_UP
        if self.writer(now) == key:
            return PayloadKeyState.WRITES
        return PayloadKeyState.WAITS if key.writes_from > now else PayloadKeyState.READS

    def wrote_until(self, key: PayloadKey, now: datetime) -> datetime | None:
        """The moment after which nothing was written with this key; None while it writes or may do so later."""
        later = [other.writes_from for other in self.keys if other.writes_from > key.writes_from and other.is_good]
        ends = [moment + LATE for moment in later if moment <= now]
        if key.given_up_at is not None:
            ends.append(key.given_up_at + LATE)
        return min(ends, default=None)

    def with_key(self, key: PayloadKey) -> PayloadRing:
        """Raises ConflictError for one key too many, and for one that does not come after all others."""
        if len(self.keys) >= MAX_KEYS:
            raise ConflictError(
                f"there are {MAX_KEYS} payload keys", hint="drop old ones: gamekeeper payload-key drop ID"
            )
        if any(other.writes_from >= key.writes_from for other in self.keys if other.is_good):
            raise ConflictError(
                "a payload key of before does not write yet, or only then",
                hint="gamekeeper payload-key ls shows when it does",
            )
        return self._changed((*self.keys, key), begins_in_clear=self.begins_in_clear)

    def without(self, key_id: str, now: datetime) -> PayloadRing:
        """Raises NotFoundError, and ConflictError for a key that writes or will."""
        key = self.get(key_id)
        if key.is_good and self.wrote_until(key, now) is None:
            raise ConflictError(
                f"payload key {key_id} {self.state(key, now)}", hint="make another one: gamekeeper payload-key rotate"
            )
        return self._changed(tuple(other for other in self.keys if other.id != key_id))

    def given_up(self, key_id: str, by: str, now: datetime, instead: PayloadKey) -> PayloadRing:
        """Without the secret of this key, of which a note stays. A key that the ring does not have is noted as well.
        ``instead`` writes from now on where no other good key does."""
        known = self.find(key_id)
        if known is not None and not known.is_good:
            return self
        at = known or PayloadKey(id=key_id, secret=instead.secret, made_at=now, writes_from=self.keys[0].writes_from)
        note = at.model_copy(update={"secret": "", "given_up_at": now, "given_up_by": by})
        others = tuple(note if key.id == key_id else key for key in self.keys)
        keys = others if known is not None else (note, *others)
        if not any(key.is_good and key.writes_from <= now for key in keys):
            keys = (*keys, instead)
        return self._changed(keys)

    def _changed(self, keys: tuple[PayloadKey, ...], *, begins_in_clear: bool = False) -> PayloadRing:
        return PayloadRing(keys=keys, begins_in_clear=begins_in_clear)
