"""Reads a container's log from the Engine API in a thread of its own, and hands it to asyncio in bounded batches.

The SDK's own log call throws away which stream a line came from, so the multiplexed frames are read here: eight
bytes of header (stream, length), then with ``timestamps`` a time of fixed width, a space, and the bytes.
"""

from __future__ import annotations

import asyncio
import calendar
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from gamekeeper.domain.log import LogLine, LogStream

_HEADER = 8
_MAX_HELD_BYTES = 1024 * 1024
_MAX_BATCH_LINES = 2000


class FrameReader:
    """Turns the raw response body into lines."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._second = ("", 0)

    def __iter__(self) -> Iterator[LogLine]:
        while True:
            header = self._raw.read(_HEADER)
            if len(header) < _HEADER:
                return
            frame = self._raw.read(int.from_bytes(header[4:], "big"))
            stream = LogStream.STDERR if header[0] == 2 else LogStream.STDOUT
            stamp, _, data = frame.partition(b" ")
            yield LogLine(stream, self._nanoseconds(stamp.decode()), data)

    def _nanoseconds(self, stamp: str) -> int:
        second = stamp[:19]
        if second != self._second[0]:
            self._second = (second, calendar.timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S")))
        fraction = stamp[20:].rstrip("Z")
        return self._second[1] * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)


class LogPump:
    """A thread that reads lines and an async iterator that takes them; the thread waits when too much is held."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._room = threading.Condition()
        self._lines: list[LogLine] = []
        self._held = 0
        self._ended = False
        self._error: Exception | None = None
        threading.Thread(target=self._read, daemon=True, name="container-log").start()

    def _read(self) -> None:
        try:
            for line in FrameReader(self._response.raw):
                with self._room:
                    self._room.wait_for(lambda: self._held < _MAX_HELD_BYTES or self._ended)
                    if self._ended:
                        return
                    self._lines.append(line)
                    self._held += len(line.data) + 64
                    first = len(self._lines) == 1
                if first:
                    self._wake()
        except Exception as error:
            self._error = error
        finally:
            with self._room:
                self._ended = True
            self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._ready.set)

    async def batches(self) -> AsyncIterator[Sequence[LogLine]]:
        """Lines as they come. Raises what reading raised; leaving it early ends the thread."""
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                while lines := self._take():
                    yield lines
                if self._ended:
                    break
            if self._error is not None:
                raise self._error
        finally:
            self._close()

    def _take(self) -> list[LogLine]:
        with self._room:
            lines, self._lines = self._lines[:_MAX_BATCH_LINES], self._lines[_MAX_BATCH_LINES:]
            self._held -= sum(len(line.data) + 64 for line in lines)
            self._room.notify_all()
        return lines

    def _close(self) -> None:
        with self._room:
            self._ended = True
            self._room.notify_all()
        threading.Thread(target=self._response.close, daemon=True).start()  # may wait for the reading thread
