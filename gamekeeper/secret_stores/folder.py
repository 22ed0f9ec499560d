"""A folder of files, a value each, as Docker and Kubernetes mount secrets."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from gamekeeper.domain.secret.reference import Reference
from gamekeeper.domain.secret.value import MAX_VALUE_BYTES, SecretValue
from gamekeeper.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError

READ_SECONDS = 5.0


class FolderStore:
    """Satisfies ``OutsideStore``. Links are followed as long as they stay in the folder: Kubernetes makes some. The
    bytes are the value as they are, a line break at the end too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, reference: Reference) -> SecretValue:
        assert reference.file is not None
        try:
            async with asyncio.timeout(READ_SECONDS):  # of a network's folder that does not answer
                return await asyncio.to_thread(self._read, reference.file.path)
        except TimeoutError as error:
            raise UnavailableError(f"{self._folder} did not answer in {READ_SECONDS:.0f} s") from error

    def _read(self, path: str) -> SecretValue:
        wanted = self._folder / path
        try:
            found = wanted.resolve(strict=True)
            if not found.is_relative_to(self._folder.resolve(strict=True)):
                raise ForbiddenError(f"{wanted} leads out of the folder", hint="put the file itself there")
            data = _read_bounded(found)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"there is no file {wanted}", hint="see GAMEKEEPER_SECRETS_DIR of the api") from error
        except (OSError, RuntimeError) as error:  # RuntimeError of links in a circle
            reason = getattr(error, "strerror", None) or "its links go round in a circle"
            raise ConflictError(f"{wanted} can't be read: {reason}", hint="see its rights") from error
        return checked(data, str(wanted))


def checked(data: bytes, where: str) -> SecretValue:
    """Raises ConflictError for what is no value."""
    if not data:
        raise ConflictError(f"{where} is empty", hint="a secret has a byte at least")
    if len(data) > MAX_VALUE_BYTES:
        raise ConflictError(f"{where} is over the limit of {MAX_VALUE_BYTES:,} bytes")
    return SecretValue(data)


def _read_bounded(path: Path) -> bytes:
    """Raises ConflictError for what is no file: a pipe would hold up its reader for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConflictError(f"{path} is no file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_VALUE_BYTES + 1)
