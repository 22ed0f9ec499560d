"""The file with the ring of payload keys, of mode 0600: made once, changed under a lock, read again when it changes."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.payload_keys.ring import KEY_BYTES, PayloadKey, PayloadRing
from gamekeeper.whole_file import write_whole

MAX_FILE_BYTES = 64 * 1024


def new_key(writes_from: datetime, now: datetime) -> PayloadKey:
    """A fresh key. Its id has the day in it, for people, and enough chance to be nobody else's."""
    secret = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return PayloadKey(id=f"{now:%Y%m%d}-{secrets.token_hex(4)}", secret=secret, made_at=now, writes_from=writes_from)


class RingFile:
    """``stamp`` changes whenever the file does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_there(self) -> bool:
        return self.path.exists()

    def stamp(self) -> tuple[int, int, int]:
        """Zeros for a file that can't be looked at."""
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self) -> PayloadRing:
        """Raises InvalidError for a file that holds no ring; its words have nothing of a key."""
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES + 1)
            return PayloadRing.model_validate_json(text)
        except OSError as error:
            raise InvalidError(
                f"the payload keys can't be read: {self.path}: {error.strerror}",
                hint="restore it from a backup; docs/payload-encryption.md says what a lost one means",
            ) from error
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InvalidError(
                f"the payload keys can't be read: {self.path}: {place}: {first['msg']}", hint="restore it from a backup"
            ) from None

    def ensure(self, *, in_clear_for: timedelta | None = None) -> None:
        """Makes the ring where there is none. ``in_clear_for`` gives processes of the version before time to go; None
        encrypts from the beginning. Raises UnavailableError where it can't be written."""
        if self.is_there:
            return
        with self._locked():
            if self.is_there:
                return
            now = datetime.now(UTC)
            first = new_key(now + (in_clear_for or timedelta()), now)
            self._write(PayloadRing(keys=(first,), begins_in_clear=in_clear_for is not None))

    def change(self, change: Callable[[PayloadRing], PayloadRing]) -> PayloadRing:
        """The ring as it is then. A kill leaves the old one or the new one. Raises what ``change`` raises."""
        with self._locked():
            changed = change(self.read())
            self._write(changed)
            return changed

    def _write(self, ring: PayloadRing) -> None:
        write_whole(self.path, ring.model_dump_json(indent=2) + "\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. The lock is a file beside it: the ring itself is replaced at each change."""
        path = self.path.with_name(self.path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(
                f"the payload keys in {self.path} can't be changed: {error.strerror}",
                hint="the api process needs to write there",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
