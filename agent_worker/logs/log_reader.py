"""Reads one container's log into the spool, to its end.

A log ends by an END record alone. It is called complete only when the engine has shown all of it after the
container's end, and has never lacked a line that it had shown before; what is lost is a gap record.

Lines are masked on their way into the spool. The place in the engine's log is told by the lines as they are there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial

from agent_worker.logs.log_cursor import LineFilter, LogCursor
from agent_worker.logs.spool import Spool
from agent_worker.masking.masked_lines import HELD_SECONDS, Lines, MaskedLines
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.backoff import Backoff
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd, LogLine
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus

log = get_logger(__name__)

ALIVE = (ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.RESTARTING)
RESTART_POLL_SECONDS = 2.0
BEHIND_SECONDS = 2.0
STUCK_SECONDS = 10.0
VALUES_SECONDS = 30.0
CAUGHT_UP_BYTES = 16 * 1024 * 1024
UNREAD_BYTES = 64 * 1024
MARGIN = 0.98  # the engine stores a little more with a long line than is counted
UNREADABLE_TRIES = 8
LOST = "the engine lost lines before they were read: it began new files too fast, or its log was cut"
UNREAD = "so much was in the engine before it was first read that it may have dropped the first lines"
REMOVED = "its container was removed before its log was read to its end"
RESTARTED = "its container was removed by somebody else, and may have been started again before that"
UNREADABLE = "the engine can't read it"


class _UnreadableError(Exception):
    """The engine answers, and can't read the log of a container that has ended."""


class LogReader:
    """One log. With ``until_removed``, which may be taken back, it goes on through restarts of its container."""

    def __init__(
        self,
        engine: ContainerEngine,
        spool: Spool,
        key: ContainerKey,
        container_id: str,
        until_removed: bool,
        one_file: bool,
        secrets: SecretsOfContainers,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._secrets = secrets
        self._masked = MaskedLines(None)
        self._name = ""
        self._key = key
        self._container_id = container_id
        self._one_file = one_file
        self._follow = True
        self._unreadable = 0
        self._kept_bytes: int | None = None
        self.until_removed = until_removed
        self._is_nudged = asyncio.Event()

    def nudge(self) -> None:
        """Something about the container has changed: it is looked at before its time."""
        self._is_nudged.set()

    async def read_to_the_end(self) -> None:
        """Begins again, at what the spool holds, after whatever went wrong."""
        backoff = Backoff(initial=0.2, maximum=5)
        while True:
            try:
                cursor = await asyncio.to_thread(self._spool.open, self._key)
                if cursor is not None:
                    reason = await self._read(cursor) if await self._knows_values() else REMOVED
                    await self._end(cursor, reason)
                return
            except Exception as error:
                if backoff.failures in (0, 30):
                    trace = None if isinstance(error, GamekeeperError) else error
                    log.warning("the log of %s waits: %s", self._key, error, exc_info=trace)
                self._follow = False  # what was written meanwhile is read before following
                await asyncio.sleep(backoff.next_delay())

    async def _knows_values(self) -> bool:
        """Waits until the container's secret values are known; False when it is gone by then."""
        while (info := await self._engine.made(self._container_id)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(VALUES_SECONDS):
                    self._masked = MaskedLines(await self._secrets.known(info.name, info.secrets))
                    self._name = info.name
                    return True
            log.warning("the log of %s waits for its secret values, which are to be masked in it", self._key)
        return False

    async def _read(self, cursor: LogCursor) -> str:
        """Reads and reads again until no more can come. Returns what is wrong with the log's end."""
        has_ended = False
        if not cursor.positions:
            cursor.begun_ns = time.time_ns()
        while True:
            before, newest_start = cursor.read_bytes, self._engine.newest_start(self._container_id)
            try:
                info, behind = await self._pass(cursor)
            except _UnreadableError as error:
                return str(error)
            if info is None:
                await self._settle(cursor)
                return REMOVED
            grown = cursor.read_bytes > before
            if info.status in ALIVE:
                await asyncio.sleep(0 if grown and not cursor.by_count else 0.1)
                # A stream that ended may have skipped lines, and so may one that was followed from far behind.
                has_ended, self._follow = False, not (self._follow or behind)
            elif (has_ended and not self._follow and not grown) or await self._has_all(cursor):
                await self._settle(cursor)
                reason = await self._over(info, newest_start)
                if reason is not None:
                    return reason
                has_ended, self._follow = False, True
            else:  # Docker may end the stream of who follows before it has sent all
                has_ended, self._follow = True, False

    async def _pass(self, cursor: LogCursor) -> tuple[ContainerInfo | None, bool]:
        """One reading. Returns how the container is afterwards, and whether to read again before following."""
        known = cursor.filter()
        try:
            behind = await self._read_once(cursor, known)
        except UnavailableError as error:
            if await self._is_unreadable():
                raise _UnreadableError(f"{UNREADABLE}: {error}") from error
            raise
        self._unreadable = 0
        info = await self._engine.find(self._container_id)
        if info is not None and not self._follow and known.misses_known:
            await self._record_cut(cursor)
        return info, behind

    async def _over(self, seen: ContainerInfo, newest_start: object) -> str | None:
        """Waits, for a container that may be started again, until it is (None) or is gone: what is wrong then."""
        while self.until_removed:
            with suppress(TimeoutError):
                async with asyncio.timeout(RESTART_POLL_SECONDS):
                    await self._is_nudged.wait()
            self._is_nudged.clear()
            before = self._engine.newest_start(self._container_id)
            info = await self._engine.find(self._container_id)
            if info is None:
                return RESTARTED if await self._engine.was_started_since(self._container_id, newest_start) else ""
            if info.status in ALIVE or info.started_at != seen.started_at:
                return None
            newest_start = before
        return ""

    async def _is_unreadable(self) -> bool:
        """True when the engine answers and has failed to read the log of an ended container again and again."""
        info = await self._engine.find(self._container_id)
        if info is not None and info.status in ALIVE:
            return False
        self._unreadable += 1
        return self._unreadable >= UNREADABLE_TRIES

    async def _has_all(self, cursor: LogCursor) -> bool:
        """True when the newest line of a long log is the one that was read last: reading it all again takes as long as
        reading it did."""
        newest = self._masked.held[-1] if self._masked.held else cursor.newest
        if not self._one_file or cursor.by_count or newest is None:
            return False
        try:
            return await self._engine.last_log_lines(self._container_id, 1) == [newest]
        except UnavailableError:
            return False

    async def _read_once(self, cursor: LogCursor, known: LineFilter) -> bool:
        """Reads from the cursor on until the engine ends the stream. True when the existing lines should be read first:
        the engine does not show lines that it rotated meanwhile to a follower that is far behind, and may show those of
        a new file twice."""
        read_before = cursor.read_bytes
        self._masked.begin()
        reading = self._engine.read_logs(self._container_id, cursor.since_ns, follow=self._follow)
        async with aclosing(reading), aclosing(self._until_stuck(reading, cursor)) as batches:
            async for lines in batches:
                fresh = known.fresh(lines)
                if not fresh:
                    continue
                if known.lost:
                    await self._settle(cursor)
                may_rotate, fresh = self._may_rotate(cursor), [*self._masked.held, *fresh]
                kept = await self._shown_once(cursor, fresh) if may_rotate else fresh
                if not kept:
                    return True
                gap = LOST if known.lost else ""
                if known.lost:
                    cursor.cut()
                known.lost = False
                await self._append(cursor, *await self._take(kept), gap)
                is_behind = time.time_ns() - kept[-1].ts_ns > BEHIND_SECONDS * 1e9
                if may_rotate and (is_behind or len(kept) < len(fresh)):
                    return True
        return not self._follow and cursor.read_bytes - read_before > CAUGHT_UP_BYTES

    async def _take(self, lines: Lines) -> tuple[Lines, Lines]:
        """Values may have come for a new start of the container. Whose values are released is masked all the same."""
        self._masked.masker = self._secrets.masker(self._name) or self._masked.masker
        if self._masked.masker is None:
            return self._masked.take(lines)
        return await asyncio.to_thread(self._masked.take, lines)

    async def _append(self, cursor: LogCursor, lines: Lines, shown: Lines, gap: str = "") -> None:
        """Keeps lines as they are ``shown``, and what is missing before them."""
        if lines:
            cursor.advance(lines)
            gap = gap or await self._unread(cursor, lines[0])
        if lines or gap:
            await self._keep(partial(self._spool.append, self._key, shown, cursor, gap))

    async def _settle(self, cursor: LogCursor) -> None:
        """Keeps what was held back: the container has ended, or its process has written nothing for a while."""
        if self._masked.held:
            await self._append(cursor, *await asyncio.to_thread(self._masked.settle))

    async def _until_stuck(
        self, batches: AsyncGenerator[Sequence[LogLine], None], cursor: LogCursor
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        """The batches, up to where the engine has newer lines and does not show them: a follower that came while a new
        file was begun waits at the old one (seen with Docker 20.10)."""
        coming: asyncio.Future[Sequence[LogLine] | None] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(batches, None))
                await asyncio.wait({coming}, timeout=HELD_SECONDS if self._masked.held else STUCK_SECONDS)
                if not coming.done():
                    await self._settle(cursor)
                    if self._may_rotate(cursor) and await self._has_newer(cursor):
                        return
                    continue
                lines, coming = coming.result(), None
                if lines is None:
                    return
                yield lines
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _may_rotate(self, cursor: LogCursor) -> bool:
        return self._follow and not self._one_file and not cursor.by_count

    async def _has_newer(self, cursor: LogCursor) -> bool:
        try:
            last = await self._engine.last_log_lines(self._container_id, 1)
        except UnavailableError:
            return False
        return any(line.ts_ns > cursor.newest_ns for line in last)

    async def _shown_once(self, cursor: LogCursor, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """The lines before those that go back in time. They are the engine's repetition, unless its log really ends
        with an older line: then the clock was set back."""
        once = cursor.before_repeated(lines)
        if len(once) == len(lines):
            return lines
        newest = max(cursor.newest_ns, *(line.ts_ns for line in lines))
        last = await self._engine.last_log_lines(self._container_id, 1)
        return lines if any(line.ts_ns < newest for line in last) else once

    async def _unread(self, cursor: LogCursor, line: LogLine) -> str:
        """The gap to record, once, when the lines from before the first reading are as many as the engine holds of a
        log whose first lines it has dropped. It does not say whether it has."""
        if not cursor.begun_ns or cursor.read_bytes < UNREAD_BYTES:
            return ""
        if line.ts_ns > cursor.begun_ns:
            cursor.begun_ns = 0
            return ""
        if self._kept_bytes is None:
            info = await self._engine.find(self._container_id)
            self._kept_bytes = info.log_kept_bytes if info else 0
        if not self._kept_bytes or cursor.read_bytes < MARGIN * self._kept_bytes:
            return ""
        log.warning("the log of %s has a gap: %s", self._key, UNREAD)
        cursor.lost, cursor.begun_ns = True, 0
        return UNREAD

    async def _record_cut(self, cursor: LogCursor) -> None:
        log.warning("the log of %s has a gap: %s", self._key, LOST)
        cursor.cut()
        await self._keep(partial(self._spool.append, self._key, [], cursor, LOST))

    async def _end(self, cursor: LogCursor, reason: str) -> None:
        end = LogEnd(not (reason or cursor.lost), reason or (LOST if cursor.lost else ""))
        await self._keep(partial(self._spool.end, self._key, end, time.time_ns()))

    async def _keep(self, write: Callable[[], None]) -> None:
        """Repeats a write until the disk takes it; meanwhile nothing is read, and the engine's log holds the rest."""
        backoff = Backoff(initial=0.2, maximum=2)
        while True:
            try:
                await asyncio.to_thread(write)
            except UnavailableError as error:
                if backoff.failures in (0, 30):
                    log.error("logs wait in Docker: %s", error)
                await asyncio.sleep(backoff.next_delay())
            else:
                return
