"""Consoles: a terminal to a step's container, or to a command that runs beside its process."""

from __future__ import annotations

from dataclasses import dataclass

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogStream

MAX_PIECE_BYTES = 16 * 1024
MAX_HISTORY = 10_000  # lines
MAX_UNTAKEN = 2  # pieces of input: fewer than a stream holds, so that a sender is never stuck in it


@dataclass(frozen=True)
class ConsoleSize:
    columns: int = 80
    rows: int = 24


@dataclass(frozen=True)
class ConsoleRequest:
    """``command`` is run in the container; without one the console is that of the container's own process, and begins
    with the last ``history`` lines that it wrote before."""

    id: str
    key: ContainerKey
    command: tuple[str, ...]
    tty: bool
    size: ConsoleSize
    history: int = 0


@dataclass(frozen=True)
class ConsoleHistory:
    """Tells that a console begins with lines of before. Where these are all that the container wrote, ``since_ns`` is a
    time before which it wrote none; else that is 0."""

    since_ns: int = 0


@dataclass(frozen=True)
class ConsoleText:
    """A piece of output, of STDOUT or STDERR; with a terminal always of STDOUT."""

    stream: LogStream
    data: bytes


@dataclass(frozen=True)
class ConsoleEnd:
    """The last of the output. ``exit_code`` is None when there is none; ``failed`` then says why."""

    exit_code: int | None
    failed: str = ""


@dataclass(frozen=True)
class ConsoleViewers:
    """Everybody who has this console open, whenever somebody comes or goes."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class EndOfInput:
    """No more will be typed; a command that reads its input to the end then ends."""


ConsoleOutput = ConsoleHistory | ConsoleText | ConsoleEnd
ConsoleNews = ConsoleOutput | ConsoleViewers  # for the client
ConsoleInput = bytes | ConsoleSize | EndOfInput
