"""Files of secrets, in memory: a file system of the agent's own, with a folder for each container that has some.

Only root may look into it, and a container sees just its own files, each by a mount of its own. It goes with the
machine's power. An agent that is killed leaves it; the next one takes away the folders that no container has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.held_folders import RUNTIME_FOLDER
from agent_worker.mounts.system_calls import is_in_memory, mount_in_memory, unmount
from gamekeeper.errors import InvalidError, SecretError

SECRETS_FOLDER = f"{RUNTIME_FOLDER}/secrets"
SIZE_BYTES = 256 * 1024 * 1024  # at the most; memory is taken by what there is
_HINT = "give it as a variable: {secret: NAME, env: NAME}; or run the agent as root (see docs/secrets.md)"


@dataclass(frozen=True)
class SecretFile:
    data: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int


class SecretFiles:
    """Those of one node. The files of a container are at the same paths for as long as it is there."""

    def __init__(self, node: str, view: EngineView) -> None:
        self._view = view
        self._base = f"{SECRETS_FOLDER}/{node}"

    def path(self, container: str, index: int) -> str:
        return f"{self._base}/{container}/{index}"

    async def write(self, container: str, files: Sequence[SecretFile]) -> None:
        """Writes them in the place of those that are there. Raises SecretError where this node can hold none."""
        try:
            await self._view.run(self._write, container, files)
        except OSError as error:
            raise _refused(error.strerror or str(error)) from error
        except SecretError:
            raise
        except InvalidError as error:
            raise _refused(error.message.partition(": ")[2] or error.message) from error

    async def read(self, container: str, count: int) -> list[bytes]:
        """The contents of those that are there."""
        with suppress(OSError, InvalidError):
            return await self._view.run(self._read, container, count)
        return []

    async def release(self, container: str) -> None:
        """Takes the files of a container away, as far as they are there."""
        with suppress(InvalidError):  # an agent that may write none has none
            await self._view.run(self._release, container)

    async def held(self) -> list[str]:
        """The names of the containers for which there are files."""
        with suppress(InvalidError):
            return await self._view.run(self._names)
        return []

    def _write(self, container: str, files: Sequence[SecretFile]) -> None:
        self._ensure_mounted()
        place = f"{self._base}/{container}"
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)
        for index, file in enumerate(files):
            _write_file(self.path(container, index), file)

    def _ensure_mounted(self) -> None:
        """Mounts it where it isn't there, and never goes by its name alone: what it holds must not reach a disk."""
        for folder, mode in ((RUNTIME_FOLDER, 0o711), (SECRETS_FOLDER, 0o700), (self._base, 0o700)):
            with suppress(FileExistsError):
                os.mkdir(folder, mode)
                os.chmod(folder, mode)
        above = os.stat(SECRETS_FOLDER, follow_symlinks=False)
        if os.stat(self._base, follow_symlinks=False).st_dev == above.st_dev:
            mount_in_memory(self._base, SIZE_BYTES)
        folder_fd = os.open(self._base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(folder_fd)
            is_own = found.st_uid == os.geteuid() and not found.st_mode & 0o077
            if found.st_dev == above.st_dev or not is_own or not is_in_memory(folder_fd):
                raise _refused(f"{self._base} is no file system in memory of the agent's own")
        finally:
            os.close(folder_fd)

    def _read(self, container: str, count: int) -> list[bytes]:
        found = []
        for index in range(count):
            with suppress(FileNotFoundError):
                file = os.open(self.path(container, index), os.O_RDONLY | os.O_NOFOLLOW)
                with os.fdopen(file, "rb") as opened:
                    found.append(opened.read())
        return found

    def _release(self, container: str) -> None:
        place = f"{self._base}/{container}"
        with suppress(FileNotFoundError):
            for name in os.listdir(place):
                os.unlink(f"{place}/{name}")
            os.rmdir(place)
            if not os.listdir(self._base) and os.path.ismount(self._base):
                unmount(self._base)
                os.rmdir(self._base)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._base))
        except FileNotFoundError:
            return []


def _write_file(path: str, file: SecretFile) -> None:
    """A new file in the place of an older one: a container that still has that keeps it."""
    fresh = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(opened, "wb") as written:
        written.write(file.data)
        os.fchown(written.fileno(), file.uid, file.gid)
        os.fchmod(written.fileno(), file.mode)
    os.rename(fresh, path)


def _refused(why: str) -> SecretError:
    return SecretError(f"this node can hold no secrets as files: {why}", hint=_HINT)
