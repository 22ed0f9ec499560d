"""A terminal in a container, or to its own process, as the agent's link carries it."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.run.console import ConsoleHistory, ConsoleSize, ConsoleText


class EngineConsole(Protocol):
    """One terminal. Reading and writing may go on at the same time; each raises UnavailableError when it broke off.

    After a cancelled call only ``close`` is left: the bytes of a cancelled read or write may be lost. ``history`` tells
    of the lines before it that come first, where they were asked for.
    """

    @property
    def history(self) -> ConsoleHistory | None:
        """Tells of the lines that come first, None where none were asked for. Returns at once. Idempotent."""

    async def read(self) -> ConsoleText | None:
        """Blocks until the command has written something; returns None at the end. Not idempotent."""

    async def write(self, data: bytes) -> None:
        """Blocks while the command does not read. Drops the bytes where the command has ended. Not idempotent."""

    async def end_input(self) -> None:
        """Tells the command that no more input comes. Returns at once. Idempotent."""

    async def resize(self, size: ConsoleSize) -> None:
        """Sets the terminal's size; has no effect where there is no terminal. Returns at once. Idempotent."""

    async def exit_code(self) -> int | None:
        """The exit code of the command or the container, once the output has ended; None while that goes on.

        Returns at once. Idempotent.
        """

    async def close(self) -> None:
        """Hangs up: ends a command that still runs, and leaves a container's own process alone. Idempotent.

        Blocks until the command has ended, for some seconds at most. Cancelled, it may leave a command that ignores
        the hang-up.
        """
