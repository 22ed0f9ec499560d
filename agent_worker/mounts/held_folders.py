"""The mounts of the agent's own, a folder of them for each container that has folders of the host.

They stand in the machine's runtime folder, which goes with the mounts when the machine is started again. An agent that
is killed leaves them; the next one finds them by the containers' names, and takes away those that no container has.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.system_calls import bind, bind_shared, unmount
from agent_worker.mounts.walk import held_open
from gamekeeper.domain.node.host_folder import HostFolder
from gamekeeper.errors import GamekeeperError, InvalidError, PolicyError

RUNTIME_FOLDER = "/run/gamekeeper"
ENGINE_SOCKET = "engine.sock"
BOUND = "socket-"
WAITING = 128  # connections that nobody has taken yet
MAX_STACK = 16  # sockets on one another, of as many agents


class HeldFolders:
    """Those of one node. A container's mounts are at the same paths for as long as it is there. ``is_passed_by_users``
    has to be true for an engine that starts containers as another user than root."""

    def __init__(self, node: str, view: EngineView) -> None:
        self._view = view
        self._base = f"{RUNTIME_FOLDER}/mounts/{node}"
        self.is_passed_by_users = True

    def path(self, container: str, index: int) -> str:
        return f"{self._base}/{container}/{index}"

    def socket_path(self, container: str) -> str:
        return f"{self._base}/{container}/{ENGINE_SOCKET}"

    async def listen(self, container: str) -> socket.socket:
        """A new socket at ``socket_path``, in the place of that of an earlier agent, and of its copies in containers.

        A socket is dead when its process is, and a mount stays with its inode. So the new one is mounted on the old
        one, and as the container has a slave of that mount, the kernel mounts it there too. Raises InvalidError.
        """
        return await self._view.run(self._listen, container)

    async def hold(self, container: str, folders: Sequence[HostFolder]) -> None:
        """Looks for each folder anew, and mounts what is there now. Raises PolicyError for a link on the way, and
        InvalidError for what can't be mounted. After an error nothing is held."""
        await self._view.run(self._hold, container, folders)

    async def release(self, container: str) -> None:
        """Takes the mounts of a container away, as far as they are there."""
        await self._view.run(self._release, container)

    async def held(self) -> list[str]:
        """The names of the containers for which something is held."""
        return await self._view.run(self._names)

    def _hold(self, container: str, folders: Sequence[HostFolder]) -> None:
        self._release(container)
        try:
            self._make_place(container)
            for index, folder in enumerate(folders):
                self._mount(folder, self.path(container, index))
        except BaseException as error:
            self._release(container)
            if isinstance(error, OSError):
                raise _refusal(folders, error) from error
            raise

    def _listen(self, container: str) -> socket.socket:
        target = self.socket_path(container)
        listening = socket.socket(socket.AF_UNIX)
        try:
            place = self._make_place(container)
            source = _bind_new(listening, place)
            if not os.path.lexists(target):
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            if (count := _mounts_at(target)) >= MAX_STACK:
                _thin_out(place, target, count, source)
            bind_shared(source, target)
        except BaseException as error:
            listening.close()
            if isinstance(error, OSError):
                raise InvalidError(f"the engine socket of {container} can't be made: {error.strerror}") from error
            raise
        return listening

    def _make_place(self, container: str) -> str:
        """The container's own folder. By a path to it whoever works on the machine would pass by the folders that keep
        him from the source, so nobody passes but root, and the users of an engine that has no root."""
        place = f"{self._base}/{container}"
        _make_folder(place)
        os.chmod(self._base, 0o711 if self.is_passed_by_users else 0o700)
        return place

    def _mount(self, folder: HostFolder, target: str) -> None:
        with held_open(folder.source) as found:
            wanted = os.fstat(found)
            if stat.S_ISDIR(wanted.st_mode):
                os.mkdir(target, 0o700)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            bind(f"/proc/self/fd/{found}", target)
            mounted = os.stat(target, follow_symlinks=False)
            if (mounted.st_dev, mounted.st_ino) != (wanted.st_dev, wanted.st_ino):
                raise PolicyError(f"host path {folder.source} is not what was mounted; try again")

    def _release(self, container: str) -> None:
        place = f"{self._base}/{container}"
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(place)):  # a socket that is mounted can't be unlinked: its mounts come first
                target = f"{place}/{name}"
                with suppress(OSError):  # EINVAL: it is no mount (any more)
                    while True:
                        unmount(target)
                is_folder = stat.S_ISDIR(os.stat(target, follow_symlinks=False).st_mode)
                (os.rmdir if is_folder else os.unlink)(target)
            os.rmdir(place)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._base))
        except FileNotFoundError:
            return []


def _bind_new(listening: socket.socket, place: str) -> str:
    """Gives it a new path, which stays for as long as the mount: the kernel mounts nothing that was unlinked.

    It is bound by the folder's descriptor, since the name of a socket has 107 bytes at the most. Its mode lets anybody
    in who has it at all."""
    number = 1 + max((int(name.removeprefix(BOUND)) for name in os.listdir(place) if name.startswith(BOUND)), default=0)
    folder = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        listening.bind(f"/proc/self/fd/{folder}/{BOUND}{number}")
        os.chmod(f"/proc/self/fd/{folder}/{BOUND}{number}", 0o666)
        listening.listen(WAITING)
    finally:
        os.close(folder)
    return f"{place}/{BOUND}{number}"


def _thin_out(place: str, target: str, count: int, newest: str) -> None:
    """Leaves the first of the sockets, whose mount the container has, and the newest."""
    for _ in range(count - 1):
        unmount(target)
    numbers = sorted(int(name.removeprefix(BOUND)) for name in os.listdir(place) if name.startswith(BOUND))
    for number in numbers[1:]:
        if (path := f"{place}/{BOUND}{number}") != newest:
            with suppress(OSError):
                os.unlink(path)


def _mounts_at(target: str) -> int:
    table = Path("/proc/thread-self/mountinfo").read_text().splitlines()
    return sum(line.split()[4] == target for line in table)


def _make_folder(path: str) -> None:
    """A folder that root alone writes to, and the engine's users may pass through."""
    made = ""
    for name in path.strip("/").split("/"):
        made += f"/{name}"
        with suppress(FileExistsError):
            os.mkdir(made, 0o711)
            os.chmod(made, 0o711)  # whatever the agent's umask is


def _refusal(folders: Sequence[HostFolder], error: OSError) -> GamekeeperError:
    names = ", ".join(folder.source for folder in folders)
    hint = "run the agent as root; see docs/node-policy.md" if isinstance(error, PermissionError) else ""
    return InvalidError(f"host path {names} can't be mounted: {error.strerror}", hint=hint)
