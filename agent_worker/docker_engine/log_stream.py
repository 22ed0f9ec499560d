"""Reads a container's log from the Engine API in a thread of its own, and hands it to asyncio in bounded batches.

The SDK's own log call throws away which stream a line came from, so the multiplexed frames are read here: eight
bytes of header (stream, length), then with ``timestamps`` a time of fixed width, a space, and the bytes.
"""

from __future__ import annotations

import asyncio
import calendar
import re
import struct
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any

from docker.errors import DockerException

from gamekeeper.domain.log.log import PART_BYTES, LogLine, LogStream

_HEADER = struct.Struct(">BxxxI")
_STAMP = len("2006-01-02T15:04:05.000000000Z")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
_STDERR = 2
_SYSTEM_ERROR = 3  # the stream on which the engine says why it stops
_READ_BYTES = 256 * 1024
_MAX_HELD_BYTES = 1024 * 1024
_LINE_BYTES = 64
_PLENTY_BYTES = 512 * 1024
_LINGER_SECONDS = 0.05  # lines that come together are kept together: each batch costs a transaction


class FrameReader:
    """Turns the raw response body into lines.

    Engines before 23.0 swallow the newline behind a line of several parts (``swallows``): it is given back with what
    follows in that stream. Behind the very last line it can't be known, and is left as the engine tells it.
    """

    def __init__(self, raw: Any, *, swallows: bool = False) -> None:
        self._raw = raw
        self._swallows = swallows
        self._cut: dict[LogStream, int] = {}
        self._owed: set[LogStream] = set()
        self._second = (b"no time", 0)

    def __iter__(self) -> Iterator[list[LogLine]]:
        """The lines of each piece that arrives. Large ones, for a busy process makes its threads wait at each read."""
        rest = b""
        while piece := self._raw.read1(_READ_BYTES):
            lines, rest = self._split(rest + piece)
            if lines:
                yield lines
        if last := self._left_over(rest):
            yield last

    def _left_over(self, _rest: bytes, /) -> list[LogLine]:
        """The lines in what stands behind the last whole one: a frame that broke off is none."""
        return []

    def _split(self, data: bytes) -> tuple[list[LogLine], bytes]:
        """The whole frames, and the beginning of the next one."""
        lines, at, size = [], 0, len(data)
        while at + _HEADER.size <= size:
            kind, length = _HEADER.unpack_from(data, at)
            begin, end = at + _HEADER.size, at + _HEADER.size + length
            if end > size:
                break
            if kind == _SYSTEM_ERROR:
                raise DockerException(data[begin:end].decode(errors="replace").strip())
            lines.append(self._line(LogStream.STDERR if kind == _STDERR else LogStream.STDOUT, data, begin, end))
            at = end
        return lines, data[at:]

    def _line(self, stream: LogStream, piece: bytes, begin: int, end: int) -> LogLine:
        blank = begin + _STAMP
        if piece[blank - 1 : blank + 1] == b"Z " and piece.startswith(self._second[0], begin):
            ts_ns = self._second[1] + int(piece[begin + 20 : blank - 1])  # the second of the line before, as most have
        else:
            blank = piece.index(b" ", begin, end)
            ts_ns = self._nanoseconds(piece[begin:blank])
        data = piece[blank + 1 : end]
        return LogLine(stream, ts_ns, self._whole(stream, ts_ns, data) if self._swallows else data)

    def _whole(self, stream: LogStream, ts_ns: int, data: bytes) -> bytes:
        """The data, behind the newline that the part before it lacks. Parts of one line share their time."""
        continues = self._cut.pop(stream, None) == ts_ns
        before = b"\n" if stream in self._owed else b""
        self._owed.discard(stream)
        if data.endswith(b"\n"):
            return before + data
        if len(data) == PART_BYTES:
            self._cut[stream] = ts_ns
        elif continues:
            self._owed.add(stream)
        return before + data

    def _nanoseconds(self, stamp: bytes) -> int:
        second = stamp[:19]
        begin = calendar.timegm(time.strptime(second.decode(), "%Y-%m-%dT%H:%M:%S")) * 1_000_000_000
        self._second = (second + b".", begin)
        fraction = stamp[20:].rstrip(b"Z")
        return begin + int(fraction.ljust(9, b"0")[:9] or 0)


class TerminalReader(FrameReader):
    """Turns the body that a container with a terminal has into lines: there are no frames, and one stream alone.

    Each line begins with its time. A part of a long line is as long as the engine makes them; where the engine swallows
    the newline behind the last part, the next time is its end.
    """

    def _left_over(self, rest: bytes, /) -> list[LogLine]:
        return [self._line(LogStream.STDOUT, rest, 0, len(rest))] if _TIME.match(rest) else []

    def _split(self, data: bytes) -> tuple[list[LogLine], bytes]:
        lines, at = list[LogLine](), 0
        while at + _STAMP < len(data):
            if not _TIME.match(data, at):
                raise DockerException(data[at:].decode(errors="replace").strip())
            end = self._end(data, at)
            if end is None:
                break
            lines.append(self._line(LogStream.STDOUT, data, at, end))
            at = end
        return lines, data[at:]

    def _end(self, data: bytes, at: int) -> int | None:
        """The end of the line or part that begins at ``at``; None where more has to come first."""
        begin = at + _STAMP + 1
        newline = data.find(b"\n", begin, begin + PART_BYTES)
        if LogStream.STDOUT in self._cut and (after := _TIME.search(data, begin, begin + PART_BYTES + _STAMP + 1)):
            if newline < 0 or after.start() <= newline:
                return after.start()
        if newline >= 0:
            return newline + 1
        return begin + PART_BYTES if len(data) >= begin + PART_BYTES else None


class LogPump:
    """A thread that reads lines and an async iterator that takes them; the thread waits when too much is held."""

    def __init__(self, response: Any, *, tty: bool, swallows: bool = False) -> None:
        self._response = response
        self._frames = (TerminalReader if tty else FrameReader)(response.raw, swallows=swallows)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._plenty = asyncio.Event()
        self._room = threading.Condition()
        self._lines: list[LogLine] = []
        self._held = 0
        self._ended = False
        self._error: Exception | None = None
        threading.Thread(target=self._read, daemon=True, name="container-log").start()

    def _read(self) -> None:
        try:
            for lines in self._frames:
                size = _size(lines)
                with self._room:
                    self._room.wait_for(lambda: self._held < _MAX_HELD_BYTES or self._ended)
                    if self._ended:
                        return
                    self._lines.extend(lines)
                    before, self._held = self._held, self._held + size
                if before == 0:
                    self._tell(self._ready)
                if before < _PLENTY_BYTES <= before + size:
                    self._tell(self._plenty)
        except Exception as error:
            self._error = error
        finally:
            with self._room:
                self._ended = True
            self._tell(self._ready)
            self._tell(self._plenty)

    def _tell(self, event: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(event.set)

    async def batches(self) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines as they come. Raises what reading raised; leaving it early ends the thread."""
        try:
            while True:
                await self._ready.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_SECONDS):
                        await self._plenty.wait()
                self._ready.clear()
                self._plenty.clear()
                ended = self._ended
                if lines := self._take():
                    yield lines
                if ended:
                    break
            if self._error is not None:
                raise self._error
        finally:
            self.close()

    def _take(self) -> list[LogLine]:
        with self._room:
            lines, self._lines, self._held = self._lines, [], 0
            self._room.notify_all()
        return lines

    def close(self) -> None:
        """Ends the thread. Returns at once. Idempotent."""
        with self._room:
            self._ended = True
            self._room.notify_all()
        threading.Thread(target=self._response.close, daemon=True).start()  # may wait for the reading thread


async def closed_if_unused(opening: Coroutine[Any, Any, Any]) -> Any:
    """The response that is being opened by a thread. Who is cancelled meanwhile would leave it to nobody, open."""
    task = asyncio.create_task(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_close)
        raise


def _close(opened: asyncio.Task[Any]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


def _size(lines: Sequence[LogLine]) -> int:
    return sum(len(line.data) + _LINE_BYTES for line in lines)
