"""The time of the engine's newest start, by which an end that it brought about is told from a process's own.

Its own word comes first, because it holds for any engine (rootless, another socket, another machine) and is by the
clock of the containers' times: it makes its default network anew at each start, unless containers outlived it. An
engine without that network is known by its process, when it is the one that listens at the socket, or by its pid file.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from docker.api.client import APIClient
from docker.errors import APIError

from agent_worker.docker_engine.errors import translated
from agent_worker.docker_engine.inspected import parse_time
from agent_worker.docker_engine.new_connection import new_connection

DEFAULT_NETWORK = "bridge"
ENGINE = "dockerd"  # systemd listens in its place where it starts it, and so does any proxy
PID_FILES = {"unix:///var/run/docker.sock": Path("/var/run/docker.pid")}
CONNECT_SECONDS = 2.0


class EngineStart:
    """The engine is asked once for each stream of its events: a start of it ends the stream."""

    def __init__(self, connect: Callable[[], APIClient], address: str) -> None:
        self._connect = connect
        self._address = address
        self._known: dict[int, datetime | None] = {}

    def under(self, stream: int) -> datetime | None:
        """None where nothing tells it. Blocks for a question. Raises UnavailableError."""
        if stream not in self._known:
            self._known = {stream: self._made_default_network() or process_start(self._address)}
        return self._known[stream]

    def _made_default_network(self) -> datetime | None:
        with translated(self._address), closing(self._connect()) as api:
            try:
                network = api.inspect_network(DEFAULT_NETWORK)
            except APIError:  # there is none, or a proxy does not let it be seen
                return None
        return parse_time(str(network.get("Created", "")))


def process_start(address: str) -> datetime | None:
    """None where the engine's process can't be seen, as from within a container."""
    try:
        process = psutil.Process(_listener(address))
        if process.name() == ENGINE:
            return _begin_of(process)
    except (OSError, ValueError, psutil.Error):
        pass
    try:
        return datetime.fromtimestamp(PID_FILES[address].stat().st_mtime, UTC)
    except (OSError, KeyError):
        return None


def _begin_of(process: psutil.Process) -> datetime:
    """To a hundredth of a second.

    The kernel tells the machine's start in whole seconds, and by that an engine seemed up to a second older than it
    was: a container that began a moment before it was told to have ended "by itself".
    """
    after_boot = process.create_time() - psutil.boot_time()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - after_boot
    return datetime.now(UTC) - timedelta(seconds=age)


def _listener(address: str) -> int:
    """The process that listens at a socket, as the kernel tells it; ValueError where it does not."""
    with new_connection(address, CONNECT_SECONDS) as asking:
        if asking.family != socket.AF_UNIX:
            raise ValueError(f"{address} may be of another machine")
        told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[0])
