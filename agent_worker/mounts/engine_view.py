"""A thread that sees the machine's files as its Docker Engine does.

An agent in a container, or one that systemd keeps apart, has mounts of its own. Docker looks for a container's folders
among those of the machine, so they are looked at, and mounted, there.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from agent_worker.mounts.system_calls import enter_mount_namespace
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

UNIX = "unix://"
CONNECT_SECONDS = 5.0
_HINT = "run the agent as root; in a container with what our Compose file gives it (see docs/node-policy.md)"


class EngineView:
    """``address`` is the engine's, as a client is given it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._thread = ThreadPoolExecutor(1, "mounts")

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls ``function`` in the thread. Raises InvalidError where the agent may not mount anything."""

        def call() -> T:
            self._enter()
            return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _enter(self) -> None:
        process = self._listener()
        try:
            namespace = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY)
        except OSError as error:
            raise _refused(f"the agent can't see the process of Docker ({error.strerror})") from error
        try:
            there, here = os.fstat(namespace), os.stat("/proc/thread-self/ns/mnt")
            if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
                enter_mount_namespace(namespace)
        except OSError as error:
            raise _refused(f"the agent may not enter the machine's mounts ({error.strerror})") from error
        finally:
            os.close(namespace)

    def _listener(self) -> int:
        """The process that listens at the engine's socket: Docker's, or the one that opened it for Docker."""
        if not self._address.startswith(UNIX):
            raise _refused(f"Docker is at {self._address}, which may be another machine")
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(self._address.removeprefix(UNIX))
                told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError as error:
            raise UnavailableError(f"Docker Engine at {self._address} does not answer: {error.strerror}") from error
        return int(struct.unpack("3i", told)[0])


def _refused(why: str) -> GamekeeperError:
    return InvalidError(f"no host path can be mounted on this node: {why}", hint=_HINT)
