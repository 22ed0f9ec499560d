"""One log setup for every process: one line an event, JSON where a machine reads it."""

from __future__ import annotations

import json
import logging
import os
import sys
from asyncio import CancelledError
from copy import copy
from datetime import UTC, datetime

from gamekeeper.errors import GamekeeperError


class JsonFormatter(logging.Formatter):
    """One JSON object a line, so that a line break in a message can't forge another record."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class LineHandler(logging.Handler):
    """Writes each record to a descriptor at once, with no buffer in between.

    A full disk costs lines, never the process: the standard handler would put a traceback for each lost line into
    its buffer, and write them all when there is room again. This one then writes one line that counts the lost ones.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(_without_known_trace(record))
        except Exception:
            self.handleError(record)
            return
        if self._lost:  # the line break ends a line of which only a part was written
            line = f"\n{self.format(_lost_lines(self._lost))}\n{line}"
        try:
            _write_all(self._descriptor, f"{line}\n".encode(errors="backslashreplace"))
        except OSError:
            self._lost += 1
        else:
            self._lost = 0


def _without_known_trace(record: logging.LogRecord) -> logging.LogRecord:
    """An error of ours says what is wrong, and a cancel is none. Its trace says nothing more, and a library that logs
    each failed call, as Temporal's SDK does, would fill a log with them during an outage."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, GamekeeperError | CancelledError):
        return record
    told, words = copy(record), str(error) or "cancelled"
    told.msg, told.args, told.exc_info, told.exc_text = f"{record.getMessage()}: {words}", (), None, None
    return told


def _lost_lines(count: int) -> logging.LogRecord:
    message = f"{count} lines of this log could not be written and are lost"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def configure_logging(level: str = "INFO") -> None:
    """Writes to standard error: JSON when it is a file or a pipe, plain lines on a terminal."""
    handler = LineHandler(sys.stderr.fileno())
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "alembic.runtime.migration", "docker", "urllib3", "grpc._cython.cygrpc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get_logger(name: str) -> logging.Logger:
    return logging.getLogger(name)
