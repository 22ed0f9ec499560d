"""Terminals of the Engine API: a request whose connection becomes the stream, in both directions.

The SDK hands out the bare socket and loses what came together with the answer's head, so reading goes through the
buffer that holds it. A connection that is closed does not end the command behind it (an old complaint about Docker),
so hanging up ends it by its process id, where the agent shares the engine's process ids.

An attach in the moment in which the process ends is silent for ever: the engine takes it, and would show the next start
of the container. So a console that is silent asks now and then whether there is still a process.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from docker.api.client import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from agent_worker.docker_engine.errors import explain
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import MAX_PIECE_BYTES, ConsoleRequest, ConsoleSize, ConsoleText
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import StartError

T = TypeVar("T")

CONNECT_SECONDS = 60
HANG_UP_SECONDS = 2.0
POLL_SECONDS = 0.05
TYPE_SECONDS = 5.0
SILENT_SECONDS = 0.25  # until the engine is asked whether the process is there, longer each time
MOST_SILENT_SECONDS = 10.0
LAST_SECONDS = 1.0  # in which the last output of a process that has ended arrives
_ENDED = ("exited", "dead", "removing")
_HEADER = struct.Struct(">BxxxI")
_STDERR = 2
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


class DockerConsole:
    """``exec_id`` is empty for the container's own process. Blocking calls run on ``threads``."""

    history = None

    def __init__(
        self, api: APIClient, threads: Executor | None, container_id: str, exec_id: str, *, tty: bool, start: str = ""
    ) -> None:
        """``start`` is the time of the container's start, where it is known: after another one nothing comes here."""
        self._api = api
        self._threads = threads
        self._container_id = container_id
        self._exec_id = exec_id
        self._tty = tty
        self._start = start
        self._response: Any = None
        self._closed = False
        self._texts: deque[ConsoleText] = deque()
        self._rest = b""

    def begin(self, path: str, parameters: dict[str, str], body: dict[str, Any] | None = None) -> None:
        """Raises StartError with the engine's words. An attach has no ``body``: it would be typed into the process, for
        the engine hands on whatever comes behind the head of that request."""
        url = f"{self._api.base_url}/v{self._api.api_version}/{path}"
        timeout = (CONNECT_SECONDS, None)
        response = self._api.post(url, json=body, params=parameters, headers=_UPGRADE, stream=True, timeout=timeout)
        if not response.ok:
            raise StartError(response.json().get("message", f"HTTP {response.status_code}"))
        self._response = response
        raw: Any = response.raw
        self._buffer = raw._fp.fp
        self._socket: socket.socket = self._buffer.raw._sock
        self._socket.settimeout(0)
        self._came_with_head = bytes(self._buffer.peek())
        self._socket.settimeout(None)

    def type_and_leave(self, data: bytes) -> None:
        """Blocks until the engine has it all, for some seconds at most: a process may not read."""
        try:
            self._socket.settimeout(TYPE_SECONDS)
            self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)
            self._buffer.read()
        except OSError as error:
            raise UnavailableError(f"the console took no input: {error}") from error
        finally:
            self._response.close()

    async def _on_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        except (OSError, ValueError, RequestException, DockerException) as error:
            raise UnavailableError(f"the console broke off: {error}") from error

    async def read(self) -> ConsoleText | None:
        if self._texts:
            return self._texts.popleft()
        return await self._on_thread(self._read_raw if self._tty else self._read_frames)

    def _read_raw(self) -> ConsoleText | None:
        data = self._receive()
        return ConsoleText(LogStream.STDOUT, data) if data else None

    def _read_frames(self) -> ConsoleText | None:
        """All that has come, of one stream as one piece: a process that writes short lines has a frame for each."""
        while not self._texts:
            data = self._receive()
            if not data:
                return None
            texts, self._rest = split_frames(self._rest + data)
            self._texts.extend(texts)
        return self._texts.popleft()

    def _receive(self) -> bytes:
        """The bytes that come next; empty once nothing can come any more."""
        if came := self._came_with_head:
            self._came_with_head = b""
            return came
        arrival = select.poll()
        arrival.register(self._socket, select.POLLIN)
        patience = SILENT_SECONDS
        while not arrival.poll(patience * 1000):
            if not self._exec_id and self._has_ended() and not arrival.poll(LAST_SECONDS * 1000):
                return b""
            patience = min(patience * 2, MOST_SILENT_SECONDS)
        return self._socket.recv(MAX_PIECE_BYTES)

    def _has_ended(self) -> bool:
        """True for a container's process that is gone, False while the engine does not tell."""
        try:
            state = self._state()
        except NotFound:
            return True
        except (RequestException, DockerException):
            return False
        return state.get("Status") in _ENDED or self._start not in ("", state.get("StartedAt"))

    async def write(self, data: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            await asyncio.get_running_loop().run_in_executor(self._threads, self._socket.sendall, data)

    async def end_input(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def resize(self, size: ConsoleSize) -> None:
        if not self._tty:
            return
        with suppress(APIError):  # it has ended
            if self._exec_id:
                await self._on_thread(self._api.exec_resize, self._exec_id, size.rows, size.columns)
            else:
                await self._on_thread(self._api.resize, self._container_id, size.rows, size.columns)

    async def exit_code(self) -> int | None:
        state = await self._on_thread(self._state)
        return None if state.get("Running") else state.get("ExitCode")

    def _state(self) -> dict[str, Any]:
        """``Running``, ``ExitCode``, and ``Pid`` of the command, or of the container."""
        if self._exec_id:
            return dict(self._api.exec_inspect(self._exec_id))
        return dict(self._api.inspect_container(self._container_id)["State"])

    async def close(self) -> None:
        if self._closed or self._response is None:
            return
        self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._exec_id:
            await self._hang_up()
        self._response.close()

    async def _hang_up(self) -> None:
        """Sends SIGHUP, as from a terminal that is gone, and SIGKILL to a command that ignores it."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            with suppress(UnavailableError):
                pid = await self._pid()
                if not pid or not _kill(pid, self._container_id, number):
                    return
                await self._until_ended()

    async def _pid(self) -> int:
        """The command's process, 0 when it has ended. Output can come before the engine knows the pid."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                while (state := await self._on_thread(self._state)).get("Running"):
                    if pid := int(state.get("Pid") or 0):
                        return pid
                    await asyncio.sleep(POLL_SECONDS)
        return 0

    async def _until_ended(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                while (await self._on_thread(self._state)).get("Running"):
                    await asyncio.sleep(POLL_SECONDS)


def split_frames(data: bytes) -> tuple[list[ConsoleText], bytes]:
    """The output in the whole frames, and the beginning of the next one."""
    texts: list[ConsoleText] = []
    pieces: list[bytes] = []
    at, kind, size = 0, 0, len(data)
    while at + _HEADER.size <= size:
        of, length = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + length
        if end > size:
            break
        if of != kind and pieces:
            texts.append(_text(kind, pieces))
            pieces = []
        kind = of
        pieces.append(data[at + _HEADER.size : end])
        at = end
    if pieces:
        texts.append(_text(kind, pieces))
    return texts, data[at:]


def _text(kind: int, pieces: list[bytes]) -> ConsoleText:
    return ConsoleText(LogStream.STDERR if kind == _STDERR else LogStream.STDOUT, b"".join(pieces))


def _kill(pid: int, container_id: str, number: signal.Signals) -> bool:
    """Kills the command, with its children where it leads a process group, as the engine makes it. It kills only a
    process that is seen to be in the container: an agent in a container sees other ids than its engine."""
    try:
        if pid <= 1 or container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            return False
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except OSError:
        return False
    return True


def open_console(api: APIClient, threads: Executor, container_id: str, request: ConsoleRequest) -> DockerConsole:
    """Blocks for as long as the engine takes to begin. Raises StartError."""
    try:
        if not request.command:
            found = api.inspect_container(container_id)
            tty, start = bool(found["Config"].get("Tty")), str(found["State"].get("StartedAt", ""))
            console = DockerConsole(api, threads, container_id, "", tty=tty, start=start)
            streams = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1"}
            console.begin(f"containers/{container_id}/attach", streams)
            return console
        environment = {"TERM": "xterm-256color"} if request.tty else None
        command = list(request.command)
        made = api.exec_create(container_id, command, stdin=True, tty=request.tty, environment=environment)
        console = DockerConsole(api, threads, container_id, made["Id"], tty=request.tty)
        console.begin(f"exec/{made['Id']}/start", {}, {"Tty": request.tty, "Detach": False})
        if request.tty:
            api.exec_resize(made["Id"], request.size.rows, request.size.columns)
        return console
    except APIError as error:
        raise StartError(explain(error)) from error


def type_in(api: APIClient, container_id: str, data: bytes) -> None:
    """Writes to the input of a container's own process. The engine ends the connection when it has passed all on."""
    try:
        console = DockerConsole(api, None, container_id, "", tty=False)
        console.begin(f"containers/{container_id}/attach", {"stream": "1", "stdin": "1"})
    except APIError as error:
        raise StartError(explain(error)) from error
    console.type_and_leave(data)
