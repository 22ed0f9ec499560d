"""Master keys in a file of mode 0600, which several processes and machines may share.

It holds several keys by their ids: a rotation adds one, and those of before stay until nothing needs them. The file is
read again when it has changed, and whoever writes it holds a lock beside it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gamekeeper.errors import ConflictError, UnavailableError
from gamekeeper.ports.master_keys import WrappedKey
from gamekeeper.sealing.envelope import KEY_BYTES, decrypt, encrypt
from gamekeeper.whole_file import write_whole

MAX_KEYS = 10
MAX_FILE_BYTES = 65_536
_BACKUP = "restore it from a backup, or point GAMEKEEPER_SECRETS_KEY_FILE to it"
_LOST = f"{_BACKUP}; where it is lost, remove these secrets (gamekeeper secret rm NAME) and set them anew"


@dataclass(frozen=True, repr=False)
class _Keys:
    """The content of the file: the id of the current key, and all keys with the times when they were made."""

    current: str
    keys: dict[str, bytes]
    made_at: dict[str, str]

    def with_new(self) -> _Keys:
        key_id = "mk-" + secrets.token_hex(4)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return _Keys(key_id, self.keys | {key_id: secrets.token_bytes(KEY_BYTES)}, self.made_at | {key_id: at})

    def only(self, kept: Collection[str]) -> _Keys:
        keys = {key_id: key for key_id, key in self.keys.items() if key_id in kept}
        return _Keys(self.current, keys, {key_id: at for key_id, at in self.made_at.items() if key_id in kept})

    def text(self) -> str:
        keys = {
            key_id: {"key": base64.b64encode(key).decode(), "made_at": self.made_at.get(key_id, "")}
            for key_id, key in self.keys.items()
        }
        return json.dumps({"current": self.current, "keys": keys}, indent=2) + "\n"


class KeyFile:
    """Satisfies ``MasterKeys``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, ...], _Keys] | None = None

    async def current(self) -> str:
        return (await self._read()).current

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        found = await self._read()
        return WrappedKey(found.current, encrypt(found.keys[found.current], data_key, _bound(found.current, context)))

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        await self.check([wrapped.key_id])
        found = await self._read()
        try:
            return decrypt(found.keys[wrapped.key_id], wrapped.data, _bound(wrapped.key_id, context))
        except ConflictError as error:
            raise ConflictError(
                f'the master key "{wrapped.key_id[:40]}" of {self._path} does not open it: the key is another one, or '
                "the row was changed",
                hint=_LOST,
                code="sealed",
            ) from error

    async def check(self, needed: Collection[str]) -> None:
        missing = sorted(set(needed) - (await self._read()).keys.keys())
        if missing:
            raise ConflictError(
                f'the master key "{missing[0][:40]}" is not in {self._path}', hint=_LOST, code="master_key"
            )

    async def ensure(self, needed: Collection[str]) -> None:
        if not needed and not self._path.exists():
            await asyncio.to_thread(self._make)
        else:
            await self._read()

    async def rotate(self) -> str:
        return await asyncio.to_thread(self._add)

    async def keep_only(self, needed: Collection[str]) -> list[str]:
        return await asyncio.to_thread(self._drop, frozenset(needed))

    def _make(self) -> None:
        with self._locked():
            if not self._path.exists():  # another process was first
                self._write(_Keys("", {}, {}).with_new())

    def _add(self) -> str:
        with self._locked():
            found = self._load()
            if len(found.keys) >= MAX_KEYS:
                raise ConflictError(
                    f"{self._path} holds {len(found.keys)} keys, and secrets need them all",
                    hint="the api's log names the versions that no key opens: remove those secrets, or set them anew",
                )
            new = found.with_new()
            self._write(new)
            return new.current

    def _drop(self, needed: frozenset[str]) -> list[str]:
        with self._locked():
            found = self._load()
            kept = found.only(needed | {found.current})
            if gone := sorted(found.keys.keys() - kept.keys.keys()):
                self._write(kept)
            return gone

    async def _read(self) -> _Keys:
        """The file's content; from memory while the file is the same."""
        return self._load() if self._known is None or self._known[0] != self._state() else self._known[1]

    def _load(self) -> _Keys:
        """Raises ConflictError that names the file and says what to do."""
        state = self._state()
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES)
        except FileNotFoundError as error:
            message = f"{self._path}, the file with the master keys of secrets, is not there"
            raise ConflictError(message, hint=_LOST, code="master_key") from error
        except OSError as error:
            raise ConflictError(
                f"{self._path}, the file with the master keys of secrets, can't be read: {error.strerror}",
                hint="see its rights: the api has to read it",
                code="master_key",
            ) from error
        try:
            found = _parsed(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConflictError(
                f"{self._path} does not hold the master keys of secrets", hint=_BACKUP, code="master_key"
            ) from error
        self._known = state, found
        return found

    def _write(self, keys: _Keys) -> None:
        write_whole(self._path, keys.text())
        _sync_folder(self._path.parent)
        self._known = None

    def _state(self) -> tuple[int, ...]:
        """Differs after each write of the file; empty where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time changes the file. The lock of a process that was killed is free. Blocks."""
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UnavailableError(
                f"{lock} can't be written: {error.strerror}",
                hint="the api has to be able to write beside GAMEKEEPER_SECRETS_KEY_FILE",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """A key that a power cut takes back would take the values with it that are sealed under it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bound(key_id: str, context: bytes) -> bytes:
    """The context with the id of the key: what a key has wrapped opens under its own id alone."""
    return b"%d:%b%b" % (len(key_id), key_id.encode(), context)


def _parsed(given: Any) -> _Keys:
    """Raises one of several errors for what is no such file."""
    keys = {str(key_id): _key(item["key"]) for key_id, item in given["keys"].items()}
    made_at = {str(key_id): str(item.get("made_at", "")) for key_id, item in given["keys"].items()}
    current = given["current"]
    if current not in keys:
        raise ValueError("the current key is not among the keys")
    return _Keys(current, keys, made_at)


def _key(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("a key is no base64") from error
    if len(found) != KEY_BYTES:
        raise ValueError("a key has another length")
    return found
